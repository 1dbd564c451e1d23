"""Tensors of the Open Inference Protocol: requests to columns, predictions to outputs, schemas to metadata."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import json_type
from scoring.encodings import JsonSchema

Holds = Callable[[Any], bool]


def _whole(low: int, high: int) -> Holds:
    return lambda value: type(value) is int and low <= value <= high


DATATYPES: Mapping[str, Holds] = {
    "BOOL": lambda value: type(value) is bool,
    **{f"INT{bits}": _whole(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": _whole(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **dict.fromkeys(("FP16", "FP32", "FP64"), lambda value: type(value) in {int, float}),
    "BYTES": lambda value: type(value) is str,
}
"""Datatypes of tensors in JSON, with the values that each may hold. A null is a missing value of any of them."""

MAX_DIMENSIONS = 8  # of a tensor: JSON readers and writers refuse lists that are nested too deeply
_OF_JSON_TYPE = {"boolean": "BOOL", "integer": "INT64", "number": "FP64", "string": "BYTES"}
_OF_TYPE: Mapping[type, str] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}


@dataclass(frozen=True)
class InferRequest:
    """A checked request: its scoring body, its id, and the outputs that it asks for (empty: all)."""

    body: Mapping[str, Any]
    id: str | None
    outputs: tuple[str, ...]


def infer_request(value: Any) -> InferRequest:
    """Convert a decoded request to the columns, or the one tensor, of a scoring body.

    Raises:
        ApiError: unknown fields, wrong shapes, datatypes or data, binary data (400).
    """
    _check_fields("the body", value, required={"inputs"}, optional={"id", "outputs", "parameters"})
    identifier = value.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise ApiError.bad_request(f"'id' must be text, but is {json_type(identifier)}.")
    tensors = [_tensor(number, each) for number, each in enumerate(_objects("inputs", value["inputs"]))]
    names = [name for name, _, _ in tensors]
    if not tensors or len(set(names)) < len(names):
        raise ApiError.bad_request(f"'inputs' must be tensors with distinct names, but has {names}"[:300])
    outputs = _objects("outputs", value.get("outputs") or [])
    for number, output in enumerate(outputs):
        _check_fields(f"outputs[{number}]", output, required={"name"}, optional={"parameters"})
    extra = {} if identifier is None else {"client_request_id": identifier}
    return InferRequest(_rows(tensors) | extra, identifier, tuple(str(output["name"]) for output in outputs))


def outputs_of(predictions: Sequence[Any], wanted: Sequence[str]) -> list[dict[str, Any]]:
    """The predictions as one tensor for each field; predictions without fields as the tensor `predictions`.

    Raises:
        ApiError: an unknown output is wanted (400).
    """
    columns = {"predictions": list(predictions)}
    if predictions and all(isinstance(row, dict) and row.keys() == predictions[0].keys() for row in predictions):
        columns = {name: [row[name] for row in predictions] for name in predictions[0]}
    if unknown := [name for name in wanted if name not in columns]:
        raise ApiError.bad_request(f"No output is named {', '.join(unknown)}; outputs: {', '.join(columns)}."[:300])
    return [_output(name, columns[name]) for name in wanted or columns]


def metadata_tensors(schema: JsonSchema) -> list[dict[str, Any]]:
    """Name, datatype and shape of each field of a schema; the number of rows is -1."""
    properties: Mapping[str, JsonSchema] = next(
        (each["properties"] for each in schema.get("anyOf", [schema]) if "properties" in each), {}
    )
    return [
        {"name": name, "datatype": datatype, "shape": [-1]}
        for name, field in properties.items()
        if (datatype := datatype_of(field))
    ]


def datatype_of(schema: JsonSchema) -> str | None:
    """The datatype of a field; None if its schema names no type.

    >>> datatype_of({"type": ["integer", "null"]}), datatype_of({"allOf": [{"type": "string"}]})
    ('INT64', 'BYTES')
    """
    types = schema.get("type", [])
    known = [_OF_JSON_TYPE[each] for each in ([types] if isinstance(types, str) else types) if each in _OF_JSON_TYPE]
    inner = (datatype_of(each) for key in ("allOf", "anyOf") for each in schema.get(key, ()))
    return known[0] if known else next(filter(None, inner), None)


def _tensor(number: int, value: dict[str, Any]) -> tuple[str, list[int], list[Any]]:
    """Name, shape and flat data of an input."""
    place = f"inputs[{number}]"
    _check_fields(place, value, required={"name", "shape", "datatype", "data"}, optional={"parameters"})
    name, shape, datatype = value["name"], value["shape"], value["datatype"]
    if not isinstance(name, str):
        raise ApiError.bad_request(f"{place}.name must be text, but is {json_type(name)}.")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MAX_DIMENSIONS
        or not all(type(size) is int and size > 0 for size in shape)
    ):
        message = f"{place}.shape must be a list of 1 to {MAX_DIMENSIONS} positive whole numbers, but is {shape}"
        raise ApiError.bad_request(message[:300])
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise ApiError.bad_request(f"{place}.datatype must be one of {', '.join(DATATYPES)}, not {datatype}"[:300])
    data = _flat(place, value["data"], shape)
    holds = DATATYPES[datatype]
    for index, each in enumerate(data):
        if each is not None and not holds(each):
            row = index // prod(shape[1:])
            raise ApiError.wrong_value(row, name, f"a value of {datatype}", repr(each)[:100])
    return name, shape, data


def _flat(place: str, data: Any, shape: Sequence[int]) -> list[Any]:
    """The values of a tensor in row-major order, given flat or nested."""
    if not isinstance(data, list):
        raise ApiError.bad_request(f"{place}.data must be a list, but is {json_type(data)}.")
    values = data
    for size in shape[1:] if data and isinstance(data[0], list) else ():
        if not all(_has(each, size) for each in values):
            raise ApiError.bad_request(f"{place}.data does not have the shape {list(shape)}.")
        values = list(chain.from_iterable(values))
    if len(values) != prod(shape):
        count = f"{len(values)} values; the shape {list(shape)} has {prod(shape)}"
        raise ApiError.bad_request(f"{place}.data has {count}.")
    return values


def _has(value: Any, size: int) -> bool:
    return isinstance(value, list) and len(value) == size


def _rows(tensors: Sequence[tuple[str, list[int], list[Any]]]) -> dict[str, Any]:
    """A scoring body: columns of one value a row, or one tensor with more."""
    name, shape, data = tensors[0]
    if len(tensors) == 1 and prod(shape[1:]) > 1:
        for size in reversed(shape[1:]):
            data = [data[at : at + size] for at in range(0, len(data), size)]
        return {"instances": data}
    for other, sizes, _ in tensors:
        if prod(sizes) != shape[0]:
            raise ApiError.bad_request(
                f"The input '{other[:100]}' has the shape {sizes}, but '{name[:100]}' has {shape}: a column has one "
                "value for each row."
            )
    return {"inputs": {column: values for column, _, values in tensors}}


def _output(name: str, values: list[Any]) -> dict[str, Any]:
    shape, data = [len(values)], values
    while data and isinstance(data[0], list) and all(_has(each, len(data[0])) for each in data):
        shape.append(len(data[0]))
        data = list(chain.from_iterable(data))
    types = {type(each) for each in data if each is not None}
    datatype = "FP64" if types <= {int, float} and types != {int} else ""
    if len(types) == 1:
        datatype = _OF_TYPE.get(next(iter(types)), "")
    if not datatype:  # objects, or values of several types: their JSON is text
        return {"name": name, "datatype": "BYTES", "shape": [len(values)], "data": [_json(each) for each in values]}
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _json(value: Any) -> str:
    return serialise(value).decode()


def _objects(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ApiError.bad_request(f"'{name}' must be a list of objects.")
    return value


def _check_fields(place: str, value: Any, *, required: set[str], optional: set[str]) -> None:
    if not isinstance(value, dict):
        raise ApiError.bad_request(f"{place} must be an object, but is {json_type(value)}.")
    if missing := sorted(required - value.keys()):
        raise ApiError.bad_request(f"{place} has no field {', '.join(missing)}.")
    if unknown := sorted(value.keys() - required - optional):
        raise ApiError.bad_request(f"{place} has unknown fields: {', '.join(unknown)}"[:300])
    parameters = value.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise ApiError.bad_request(f"{place}.parameters must be an object, but is {json_type(parameters)}.")
    # `content_type` tells other servers how to decode a tensor; here the contract of the version does.
    if unsupported := sorted(name for name, each in parameters.items() if name != "content_type" and each):
        raise ApiError.bad_request(f"{place}.parameters has what this server does not support: {unsupported}"[:300])
