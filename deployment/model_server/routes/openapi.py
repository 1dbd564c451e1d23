"""The OpenAPI document of one endpoint: request and response schemas of each served version."""

from collections.abc import Mapping
from typing import Any

from deployment.model_server.endpoints.endpoint import Endpoint, ServedEntity
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.routes.open_inference_schema import infer_operation
from deployment.model_server.routes.request_schema import body_limit, distinct, request_schema
from deployment.model_server.settings import ServerSettings
from scoring.encodings import JsonSchema

DISTRIBUTIONS = "x-training-distributions"  # an extension of OpenAPI, which the try page reads

_ERRORS: Mapping[int, str] = {
    400: "The request does not fit the model; `problems` lists row, field, expected and actual value.",
    401: "No token.",
    403: "A wrong token, or one without this permission.",
    404: "Unknown endpoint or served version.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The content type is not application/json in UTF-8.",
    429: "Too many requests in flight; `Retry-After` is the time to wait.",
    503: "The endpoint is loading its models, or could not load them again after a restart.",
    504: "The model did not respond in time.",
}


def document(endpoint: Endpoint, schemas: Mapping[str, VersionSchema], settings: ServerSettings) -> dict[str, Any]:
    """Build the OpenAPI 3.1 document of an endpoint. `schemas` holds its loaded served entities by name.

    The path of the endpoint leads to any version with traffic. Its schema is therefore `allOf` their row schemas:
    every version accepts a request that fits it.
    """
    entities = endpoint.active.entities if endpoint.active else ()
    routes = endpoint.active.routes if endpoint.active else ()
    served = {entity.name: schemas.get(entity.name, VersionSchema()) for entity in entities}
    root = f"/serving-endpoints/{endpoint.name}"
    routed = {route.served_entity_name for route in routes if route.traffic_percentage}
    with_traffic = {name: schema for name, schema in served.items() if name in routed}
    summary = f"{endpoint.name} (split by traffic)" if len(routed) > 1 else endpoint.name
    paths = {f"{root}/invocations": _operation("query", summary, with_traffic, settings)}
    limits = settings.max_rows, settings.max_body_bytes
    paths[f"/v2/models/{endpoint.name}/infer"] = infer_operation("infer", summary, with_traffic, limits, _ERRORS)
    for entity in entities:
        infer = infer_operation(
            f"infer-{entity.name}", _title(entity), {entity.name: served[entity.name]}, limits, _ERRORS
        )
        paths[f"/v2/models/{endpoint.name}/versions/{entity.entity_version}/infer"] = infer
        operation = _operation(f"query-{entity.name}", _title(entity), {entity.name: served[entity.name]}, settings)
        paths[f"{root}/served-models/{entity.name}/invocations"] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": endpoint.name,
            "version": str(endpoint.active.version if endpoint.active else 0),
            "description": endpoint.description or f"Serving endpoint {endpoint.name}.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
    }


def _title(entity: ServedEntity) -> str:
    return f"{entity.entity_name} version {entity.entity_version} only"


def _operation(
    name: str, summary: str, schemas: Mapping[str, VersionSchema], settings: ServerSettings
) -> dict[str, Any]:
    response = {"type": "object", "properties": {"predictions": _predictions(schemas)}, "required": ["predictions"]}
    success = {
        "description": "One prediction per row, in the order of the rows.",
        "headers": {
            "served-model-name": {"description": "The version that predicted.", "schema": {"type": "string"}}
        },
        "content": {"application/json": {"schema": response}},
    }
    errors = {
        str(status): {
            "description": description,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status, description in _ERRORS.items()
    }
    content: dict[str, Any] = {"schema": request_schema(schemas, settings.max_rows, settings.max_body_bytes)}
    if example := next((schema.example for schema in schemas.values() if schema.example), None):
        content["example"] = _body(example)
    body = {
        "required": True,
        "description": body_limit(settings.max_body_bytes),
        "content": {"application/json": content},
    }
    distributions = next((schema.distributions for schema in schemas.values() if schema.distributions), {})
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "requestBody": body,
            "responses": {"200": success} | errors,
            **({DISTRIBUTIONS: distributions} if distributions else {}),
        }
    }


def _predictions(schemas: Mapping[str, VersionSchema]) -> JsonSchema:
    each = distinct([schema.prediction for schema in schemas.values()])
    return {"type": "array", "items": each[0] if len(each) == 1 else {"anyOf": each} if each else {}}


def _body(example: Any) -> Any:
    """The golden request as a body; it is one row, a list of rows, or a body already."""
    if isinstance(example, list):
        return {"dataframe_records": example}
    formats = {"dataframe_records", "dataframe_split", "instances", "inputs"}
    return example if formats & set(example) else {"dataframe_records": [example]}


_ERROR: JsonSchema = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "found": {"type": "integer", "description": "Total number of invalid values."},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["row", "field", "expected", "got"],
                "properties": {
                    "row": {"type": "integer"},
                    "field": {"type": "string"},
                    "expected": {"type": "string"},
                    "got": {"type": "string"},
                },
            },
        },
    },
}
