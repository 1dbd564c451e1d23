"""JSON schemas of a version: its request rows, responses and parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scoring.encoder import Encoder
from scoring.encodings import JsonSchema
from scoring.hooks import Fields

if TYPE_CHECKING:
    from mlflow.models import Model as Metadata
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    from scoring.scorer import Scorer

ANYTHING: JsonSchema = {}
_JSON_TYPES = {
    "boolean": "boolean", "integer": "integer", "long": "integer", "float": "number", "double": "number",
    "string": "string", "binary": "string", "datetime": "string",
}  # fmt: skip


@dataclass(frozen=True)
class VersionSchema:
    """Schemas of one loaded version.

    Attributes:
        registered: registration time in seconds since 1970.
        row: the schema of one row, or of one element of a tensor.
        prediction: the schema of one prediction.
        named_fields: True if rows have named fields; a tensor has none.
        params: the schema of each parameter that a request may set.
        example: an accepted row, if the version stores one.
        distributions: the training distribution of each input, if the version stores them.
    """

    registered: float = 0.0
    row: JsonSchema = field(default_factory=dict)
    prediction: JsonSchema = field(default_factory=dict)
    named_fields: bool = True
    params: Mapping[str, JsonSchema] = field(default_factory=dict)
    example: Mapping[str, Any] | None = None
    distributions: Mapping[str, Any] = field(default_factory=dict)


def of_scorer(scorer: "Scorer", registered: float, example: Mapping[str, Any] | None) -> VersionSchema:
    """Schemas of a version of this project, from its encodings or the request fields of its hook."""
    hooks = scorer.hooks
    fields = by_kind(hooks.request_fields, nullable=True) if hooks.preprocess else by_column(scorer.encoder)
    prediction = by_kind(scorer.fields(), nullable=False)
    return VersionSchema(registered, closed(fields), closed(prediction), example=example)


def with_keys(schema: VersionSchema, keys: Sequence[str]) -> VersionSchema:
    """Also accept a row with keys: the model looks up the fields that it leaves out."""
    columns = schema.row["properties"]
    with_key = closed({**{key: {"type": ["integer", "string"]} for key in keys}, **columns}, keys)
    return replace(schema, row={"anyOf": [schema.row, with_key]})


def of_signature(metadata: "Metadata", registered: float, example: Mapping[str, Any] | None) -> VersionSchema:
    """Schemas of any other version, from its MLflow signature; empty without one."""
    signature = metadata.signature
    if signature is None:
        return VersionSchema(registered, example=example)
    row, named_fields = _rows(signature.inputs)
    prediction, _ = _rows(signature.outputs)
    return VersionSchema(registered, row, prediction, named_fields, _params(signature.params), example)


def by_column(encoder: Encoder) -> dict[str, JsonSchema]:
    """The schema of each raw column."""
    schemas: dict[str, JsonSchema] = {}
    for column, encodings in encoder.by_column().items():
        first, *more = (encoding.json_schema(encoder) for encoding in encodings)
        schemas[column] = {"allOf": [first, *more]} if more else first
    return schemas


def by_kind(fields: Fields, *, nullable: bool) -> dict[str, JsonSchema]:
    """The schema of each field of a hook; `nullable` because only the hook knows which may be null."""
    names = {"boolean": "boolean", "integer": "integer", "number": "number", "text": "string"}
    return {name: {"type": [names[kind], "null"] if nullable else names[kind]} for name, kind in fields.items()}


def closed(properties: Mapping[str, JsonSchema], required: Sequence[str] | None = None) -> JsonSchema:
    """An object of these fields and no others; all of them are required unless `required` lists fewer."""
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": dict(properties), "required": names, "additionalProperties": False}


def _rows(schema: "Schema | None") -> tuple[JsonSchema, bool]:
    if schema is None or not schema.inputs:
        return ANYTHING, True
    if schema.is_tensor_spec():
        return _tensor(schema), False
    if not schema.has_input_names():
        return {"type": "array"}, False
    columns: dict[str, JsonSchema] = {str(column.name): _column(column) for column in schema.inputs}  # type: ignore[arg-type]
    required = [str(column.name) for column in schema.inputs if getattr(column, "required", True)]
    return closed(columns, required), True


def _tensor(schema: "Schema") -> JsonSchema:
    element: JsonSchema = {"type": "number"}
    for size in reversed(schema.inputs[0].shape[1:]):  # type: ignore[union-attr]
        element = {"type": "array", "items": element, **({"minItems": size, "maxItems": size} if size >= 0 else {})}
    return element


def _column(column: "ColSpec") -> JsonSchema:
    json_type = _JSON_TYPES.get(getattr(column.type, "name", ""))
    if json_type is None:
        return ANYTHING  # lists, objects and maps: MLflow itself checks them
    return {"type": json_type if column.required else [json_type, "null"]}


def _params(schema: "ParamSchema | None") -> dict[str, JsonSchema]:
    return {param.name: _param(param) for param in (schema.params if schema else [])}


def _param(param: "ParamSpec") -> JsonSchema:
    scalar: JsonSchema = {"type": _JSON_TYPES.get(getattr(param.dtype, "name", ""), "string")}
    if param.shape is not None:
        return {"type": "array", "items": scalar}
    return scalar | ({"default": param.default} if isinstance(param.default, bool | int | float | str) else {})
