"""Pipelines of trees as ONNX graphs. Only training converts; whoever serves needs none of these packages."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scoring.compiled.onnx import ABOUT, CompiledOnnx, GraphNote
from scoring.encoder import Encoder
from scoring.predictions import Task

_OPSET = {"": 17, "ai.onnx.ml": 3}  # the newest that every converter writes
_COLUMN = {"binary": 1, "regression": 0}
_NO_CATEGORIES = frozenset({"sklearn", "catboost"})  # skl2onnx would take their codes for numbers
# Of a split by categories the converter makes a comparison each, which it walks once for every way through the tree:
# of hundreds it does not come to an end (onnxmltools, issue 792).
MOST_COMPARED = 16
Means = list[tuple[int, list[list[float]]]]


def onnx_of(pipeline: Any, encoder: Encoder, task: Task) -> CompiledOnnx:
    """The pipeline as a graph of dense rows.

    Raises:
        Exception: whatever a converter says about a pipeline that it cannot convert.
    """
    *before, (_, model) = pipeline.steps
    fitted = getattr(model, "model_", model)  # our own boosters keep the library's
    if _library(fitted) in _NO_CATEGORIES and _categorical(model):
        raise ValueError(f"the converter of {_library(fitted)} knows no categories, and the model splits by them")
    sizes = encoder.categories()
    most = max((sizes.get(place, 0) for place in getattr(model, "categorical", ())), default=0)
    if _library(fitted) == "xgboost" and most > MOST_COMPARED:
        raise ValueError(f"the model splits by {most:,} categories, and a graph is made of {MOST_COMPARED} at most")
    means = _means(before, sizes)
    columns = len(encoder.features) - len(means) + sum(len(table[0]) for _, table in means)
    graph = _of_catboost(fitted) if _library(fitted) == "catboost" else _converted(fitted, columns)
    about = GraphNote(_COLUMN.get(task), means)
    graph.metadata_props.add(key=ABOUT, value=json.dumps(asdict(about)))
    return CompiledOnnx(graph.SerializeToString())


def _means(before: list[tuple[str, Any]], sizes: Mapping[int, int]) -> Means:
    """What a step in front of the model puts in place of indices; there may be that step and no other.

    Raises:
        ValueError: there are others.
    """
    steps = [step for _, step in before if step is not None and step != "passthrough"]
    if not steps:
        return []
    if len(steps) > 1 or not hasattr(steps[0], "transformers_"):
        raise ValueError(f"steps that a graph cannot have: {', '.join(type(step).__name__ for step in steps)}")
    (_, encoder, places), *rest = steps[0].transformers_
    if any(isinstance(step, str) and step == "drop" for _, step, _ in rest) or len(rest) > 1:
        raise ValueError("a column transformer of more than target means")
    return [(place, _table(encoder, at, sizes[place])) for at, place in enumerate(places)]


def _table(encoder: Any, at: int, size: int) -> list[list[float]]:
    """The means of each category of one feature, a column for each class where there are several."""
    overall = np.atleast_1d(encoder.target_mean_)
    table = np.tile(overall, (size, 1)).astype(np.float64)
    known = encoder.categories_[at].astype(np.intp)
    for column in range(len(overall)):
        table[known, column] = encoder.encodings_[at * len(overall) + column]
    return [[float(value) for value in row] for row in table]


def _categorical(model: Any) -> bool:
    """Whether a model takes columns as categories and not as numbers."""
    by_histogram = getattr(model, "is_categorical_", None)
    return bool(getattr(model, "categorical", ())) or (by_histogram is not None and bool(by_histogram.any()))


def _library(model: Any) -> str:
    return type(model).__module__.partition(".")[0]


def _converted(model: Any, columns: int) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    if _library(model) in {"lightgbm", "xgboost"}:
        _register(model)
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    rows = [("rows", FloatTensorType([None, columns]))]
    return to_onnx(model, initial_types=rows, options=options, target_opset=_OPSET)


def _register(model: Any) -> None:
    """Make the converter of a booster known to skl2onnx, which has none of its own."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    if _library(model) == "lightgbm":
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm as convert
    else:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as convert
    kind = type(model)
    if hasattr(model, "classes_"):
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        shape = shapes.calculate_linear_classifier_output_shapes
        update_registered_converter(kind, kind.__name__, shape, convert, options=options)
    else:
        shape = shapes.calculate_linear_regressor_output_shapes
        update_registered_converter(kind, kind.__name__, shape, convert)


def _of_catboost(fitted: Any) -> Any:
    """CatBoost writes ONNX itself; its probabilities come as a list of maps, which are taken away."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        fitted.save_model(path, format="onnx")
        model = onnx.load(path)
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "ZipMap"]:
        graph.node.remove(node)
        (mapped,) = [output for output in graph.output if output.name == node.output[0]]
        graph.output.remove(mapped)
        kind = onnx.TensorProto.FLOAT
        graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], kind, [None, None]))
    return model
