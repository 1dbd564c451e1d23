"""Export of tree pipelines as ONNX graphs. Only training uses these packages; serving does not need them."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scoring.compiled.onnx import METADATA_KEY, CompiledOnnx, GraphMetadata
from scoring.encoder import Encoder
from scoring.tasks import Task

_OPSET = {"": 17, "ai.onnx.ml": 3}  # the newest version that every converter writes
_NO_CATEGORIES = frozenset({"sklearn", "catboost"})  # skl2onnx would convert their codes as numbers
# The converter turns a split by categories into one comparison for each, and walks all of them on every path through
# the tree. With hundreds of categories it does not finish (onnxmltools, issue 792).
MOST_COMPARED = 16
Means = list[tuple[int, list[list[float]]]]


def onnx_of(pipeline: Any, encoder: Encoder, task: Task) -> CompiledOnnx:
    """The pipeline as a graph of dense rows.

    Raises:
        Exception: any error of a converter that cannot convert the pipeline.
    """
    *before, (_, model) = pipeline.steps
    fitted = getattr(model, "model_", model)  # our boosters wrap the library's model
    if _library(fitted) in _NO_CATEGORIES and _categorical(model):
        raise ValueError(
            f"the converter of {_library(fitted)} does not support categories, and the model splits by them"
        )
    sizes = encoder.categories()
    most = max((sizes.get(column, 0) for column in getattr(model, "categorical", ())), default=0)
    if _library(fitted) == "xgboost" and most > MOST_COMPARED:
        raise ValueError(f"the model splits by {most:,} categories; a graph supports at most {MOST_COMPARED}")
    means = _means(before, sizes)
    columns = len(encoder.features) - len(means) + sum(len(table[0]) for _, table in means)
    graph = _of_catboost(fitted) if _library(fitted) == "catboost" else _converted(fitted, columns)
    metadata = GraphMetadata(task.onnx_column, means)
    graph.metadata_props.add(key=METADATA_KEY, value=json.dumps(asdict(metadata)))
    return CompiledOnnx(graph.SerializeToString())


def _means(before: list[tuple[str, Any]], sizes: Mapping[int, int]) -> Means:
    """Target means of a step in front of the model, by column. No other step is supported.

    Raises:
        ValueError: the pipeline has other steps.
    """
    steps = [step for _, step in before if step is not None and step != "passthrough"]
    if not steps:
        return []
    if len(steps) > 1 or not hasattr(steps[0], "transformers_"):
        raise ValueError(f"steps without an ONNX form: {', '.join(type(step).__name__ for step in steps)}")
    (_, encoder, columns), *rest = steps[0].transformers_
    if any(isinstance(step, str) and step == "drop" for _, step, _ in rest) or len(rest) > 1:
        raise ValueError("a column transformer with more than target means")
    return [(column, _table(encoder, number, sizes[column])) for number, column in enumerate(columns)]


def _table(encoder: Any, number: int, size: int) -> list[list[float]]:
    """The means of each category of one feature; one column for each class of a multiclass task."""
    overall = np.atleast_1d(encoder.target_mean_)
    table = np.tile(overall, (size, 1)).astype(np.float64)
    known = encoder.categories_[number].astype(np.intp)
    for column in range(len(overall)):
        table[known, column] = encoder.encodings_[number * len(overall) + column]
    return [[float(value) for value in row] for row in table]


def _categorical(model: Any) -> bool:
    """Return True if the model splits columns by categories."""
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
    """Register a booster's converter with skl2onnx, which has none itself."""
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
    """CatBoost's own ONNX export, with probabilities as an array instead of a list of maps."""
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
