"""Pipelines of trees as ONNX graphs. Only training converts; whoever serves needs none of these packages."""

import tempfile
from pathlib import Path
from typing import Any

from training.compiled.onnx import COLUMN, Onnx
from training.predictions import Task

_OPSET = {"": 17, "ai.onnx.ml": 3}  # the newest that every converter writes
_COLUMN = {"binary": "1", "regression": "0"}


def onnx_of(pipeline: Any, features: int, task: Task) -> Onnx:
    """The pipeline as a graph of dense rows.

    Raises:
        Exception: whatever a converter says about a pipeline that it cannot convert.
    """
    library = type(pipeline.steps[-1][1]).__module__.partition(".")[0]
    model = _of_catboost(pipeline) if library == "catboost" else _converted(pipeline, features, library)
    if task in _COLUMN:
        model.metadata_props.add(key=COLUMN, value=_COLUMN[task])
    return Onnx(model.SerializeToString())


def _converted(pipeline: Any, features: int, library: str) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = pipeline.steps[-1][1]
    if library in {"lightgbm", "xgboost"}:
        _register(model, library)
    options = {id(model): {"zipmap": False}} if hasattr(model, "classes_") else None
    rows = [("rows", FloatTensorType([None, features]))]
    return to_onnx(pipeline, initial_types=rows, options=options, target_opset=_OPSET)


def _register(model: Any, library: str) -> None:
    """Make the converter of a booster known to skl2onnx, which has none of its own."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    if library == "lightgbm":
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


def _of_catboost(pipeline: Any) -> Any:
    """CatBoost writes ONNX itself; its probabilities come as a list of maps, which are taken away."""
    import onnx

    if any(step is not None and step != "passthrough" for _, step in pipeline.steps[:-1]):
        raise ValueError("CatBoost converts no steps before the model")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        pipeline.steps[-1][1].save_model(path, format="onnx")
        model = onnx.load(path)
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "ZipMap"]:
        graph.node.remove(node)
        (mapped,) = [output for output in graph.output if output.name == node.output[0]]
        graph.output.remove(mapped)
        kind = onnx.TensorProto.FLOAT
        graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], kind, [None, None]))
    return model
