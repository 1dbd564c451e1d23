"""The operations of the Open Inference Protocol in the OpenAPI document of an endpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from deployment.model_server.models.version_schema import VersionSchema, closed
from deployment.model_server.routes.open_inference_tensors import DATATYPES, MAX_DIMENSIONS, datatype_of
from deployment.model_server.routes.request_schema import row_schema, rows_within
from scoring.encodings import JsonSchema

_COMPATIBLE: Mapping[str, Sequence[str]] = {
    "INT64": [name for name in DATATYPES if "INT" in name],
    "FP64": [name for name in DATATYPES if "INT" in name or "FP" in name],
}
_SHAPE: JsonSchema = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1},
    "minItems": 1,
    "maxItems": MAX_DIMENSIONS,
}
_PARAMETERS: JsonSchema = {"type": ["object", "null"], "properties": {"content_type": {"type": "string"}}}
_ERROR: JsonSchema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def infer_operation(
    name: str, summary: str, schemas: Mapping[str, VersionSchema], limits: tuple[int, int], errors: Mapping[int, str]
) -> dict[str, Any]:
    """The operation of one path. `limits` are the most rows and the most bytes of a body."""
    row = row_schema(schemas)
    request = _request(row, rows_within(*limits, row))
    responses: dict[str, Any] = {
        str(status): {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in errors.items()
    }
    responses["200"] = {
        "description": "One tensor for each field of the predictions.",
        "content": {"application/json": {"schema": _response()}},
    }
    return {
        "post": {
            "operationId": name,
            "summary": f"{summary} (Open Inference Protocol)",
            "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
            "responses": responses,
        }
    }


def _request(row: JsonSchema, most: int) -> JsonSchema:
    fields: Mapping[str, JsonSchema] = next(
        (each["properties"] for each in row.get("anyOf", [row]) if "properties" in each), {}
    )
    tensors = [_tensor(name, schema, most) for name, schema in fields.items()]
    inputs: JsonSchema = {"type": "array", "minItems": 1}
    if tensors:
        inputs |= {"items": {"oneOf": tensors}, "maxItems": len(tensors)}
    output = closed({"name": {"type": "string", "maxLength": 255}, "parameters": _PARAMETERS}, required=("name",))
    return closed(
        {
            "id": {"type": ["string", "null"], "maxLength": 255},
            "inputs": inputs,
            "outputs": {"type": ["array", "null"], "items": output, "maxItems": 100},
            "parameters": _PARAMETERS,
        },
        required=("inputs",),
    )


def _tensor(name: str, schema: JsonSchema, most: int) -> JsonSchema:
    datatype = datatype_of(schema)
    allowed = _COMPATIBLE.get(datatype or "", [datatype] if datatype else list(DATATYPES))
    data: JsonSchema = {"type": "array", "items": schema, "minItems": 1, "maxItems": most}
    return closed(
        {
            "name": {"const": name},
            "shape": _SHAPE,
            "datatype": {"enum": list(allowed)},
            "data": data,
            "parameters": _PARAMETERS,
        },
        required=("name", "shape", "datatype", "data"),
    )


def _response() -> JsonSchema:
    output = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"enum": list(DATATYPES)},
            "data": {"type": "array"},
        },
    }
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": output},
        },
    }
