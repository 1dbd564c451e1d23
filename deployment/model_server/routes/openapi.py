"""The OpenAPI document of one endpoint: what each served version takes and answers."""

from collections.abc import Mapping
from typing import Any

from deployment.model_server.endpoints.endpoint import Endpoint, ServedEntity
from deployment.model_server.models.version_schema import ANYTHING, JsonSchema, VersionSchema, closed
from deployment.model_server.settings import ServerSettings

_REFUSALS: Mapping[int, str] = {
    400: "The request does not fit the model; `problems` names row, field, what was expected and what was got.",
    401: "No token.",
    403: "A wrong token, or one that may not do this.",
    404: "There is no such endpoint or served version.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The content type is not application/json in UTF-8.",
    429: "Too many requests are being answered; `Retry-After` says when to come back.",
    503: "The endpoint still loads its models, or could not load them again after a restart.",
    504: "The model did not answer in time.",
}


def document(endpoint: Endpoint, abouts: Mapping[str, VersionSchema], settings: ServerSettings) -> dict[str, Any]:
    """OpenAPI 3.1 for an endpoint; `abouts` are its served entities that were loaded, by name.

    Requests to the endpoint go to any version that has traffic, so its path takes what all of them take: a request
    that fits `allOf` the rows is answered whichever version gets it.
    """
    entities = endpoint.active.entities if endpoint.active else ()
    routes = endpoint.active.routes if endpoint.active else ()
    served = {entity.name: abouts.get(entity.name, VersionSchema()) for entity in entities}
    place = f"/serving-endpoints/{endpoint.name}"
    routed = {route.served_entity_name for route in routes if route.traffic_percentage}
    answering = {name: about for name, about in served.items() if name in routed}
    paths = {f"{place}/invocations": _operation("query", f"{endpoint.name}, by its traffic", answering, settings)}
    for entity in entities:
        operation = _operation(f"query-{entity.name}", _title(entity), {entity.name: served[entity.name]}, settings)
        paths[f"{place}/served-models/{entity.name}/invocations"] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": endpoint.name,
            "version": str(endpoint.active.version if endpoint.active else 0),
            "description": endpoint.description or f"The serving endpoint {endpoint.name}.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Refusal": _REFUSAL},
        },
    }


def _title(entity: ServedEntity) -> str:
    return f"{entity.entity_name} version {entity.entity_version} alone"


def _operation(
    name: str, summary: str, abouts: Mapping[str, VersionSchema], settings: ServerSettings
) -> dict[str, Any]:
    answer = {"type": "object", "properties": {"predictions": _predictions(abouts)}, "required": ["predictions"]}
    answered = {
        "description": "One prediction for each row, in their order.",
        "headers": {"served-model-name": {"description": "Which version answered.", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": answer}},
    }
    refusals = {
        str(status): {
            "description": why,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
        }
        for status, why in _REFUSALS.items()
    }
    content: dict[str, Any] = {"schema": _request(abouts, settings.max_rows)}
    if example := next((about.example for about in abouts.values() if about.example), None):
        content["example"] = _body(example)
    return {
        "post": {
            "operationId": name,
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {"200": answered} | refusals,
        }
    }


def _request(abouts: Mapping[str, VersionSchema], max_rows: int) -> JsonSchema:
    row = _joined([about.row for about in abouts.values()])
    rows: JsonSchema = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    formats: dict[str, JsonSchema] = {"instances": rows}
    if all(about.named for about in abouts.values()):
        formats = {"dataframe_records": rows, "dataframe_split": _split(row, max_rows), "instances": rows}
        formats["inputs"] = {"anyOf": [rows, _columns(row)]}
    beside: dict[str, JsonSchema] = {
        "client_request_id": {"type": ["string", "null"]},
        "usage_context": {"type": ["object", "null"]},
        "params": closed(_params(abouts), required=()) | {"type": ["object", "null"]},
    }
    return {"oneOf": [closed({name: schema} | beside, required=(name,)) for name, schema in formats.items()]}


def _split(row: JsonSchema, max_rows: int) -> JsonSchema:
    """Columns in the order of the contract; a schema cannot say how values follow another one."""
    properties = row.get("properties", {})
    names, size = list(properties), len(properties)
    columns: JsonSchema = {"const": names} if properties else {"type": "array", "items": {"type": "string"}}
    cells: JsonSchema = {"type": "array"}
    if properties:
        cells |= {"prefixItems": list(properties.values()), "minItems": size, "maxItems": size}
    values: JsonSchema = {"type": "array", "items": cells, "minItems": 1, "maxItems": max_rows}
    frame = closed({"columns": columns, "data": values, "index": {"type": "array"}}, required=("columns", "data"))
    return frame | {"description": "`columns` may have any order, which the values of each row in `data` follow."}


def _columns(row: JsonSchema) -> JsonSchema:
    """One row as columns; a schema cannot say that the lists of more are of one length."""
    properties = row.get("properties", {})
    lists = {
        name: {"type": "array", "items": schema, "minItems": 1, "maxItems": 1} for name, schema in properties.items()
    }
    said = "A list for each column. Of one value here; lists of more are answered too, if all are of one length."
    return (closed(lists, row["required"]) if lists else {"type": "object"}) | {"description": said}


def _predictions(abouts: Mapping[str, VersionSchema]) -> JsonSchema:
    answers = [about.answer for about in abouts.values()]
    distinct = [answer for number, answer in enumerate(answers) if answer not in answers[:number]]
    return {"type": "array", "items": distinct[0] if len(distinct) == 1 else {"anyOf": distinct} if distinct else {}}


def _params(abouts: Mapping[str, VersionSchema]) -> dict[str, JsonSchema]:
    shared = [set(about.params) for about in abouts.values()]
    names = set.intersection(*shared) if shared else set()
    first = next(iter(abouts.values()), VersionSchema())
    return {name: schema for name, schema in first.params.items() if name in names}


def _joined(rows: list[JsonSchema]) -> JsonSchema:
    distinct = [row for number, row in enumerate(rows) if row not in rows[:number]]
    return distinct[0] if len(distinct) == 1 else {"allOf": distinct} if distinct else ANYTHING


def _body(example: Any) -> Any:
    """The golden request as a body; it may be one row, rows, or a body already."""
    if isinstance(example, list):
        return {"dataframe_records": example}
    formats = {"dataframe_records", "dataframe_split", "instances", "inputs"}
    return example if formats & set(example) else {"dataframe_records": [example]}


_REFUSAL: JsonSchema = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {
        "error_code": {"type": "string"},
        "message": {"type": "string"},
        "found": {"type": "integer", "description": "How many values are wrong in all."},
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
