"""The JSON schema of a scoring request. A request that fits it also fits the limit on the size of a body."""

from collections.abc import Mapping

from deployment.model_server.models.version_schema import ANYTHING, VersionSchema, closed
from deployment.model_server.routes.schema_size import NUMBER_BYTES, TEXT_LENGTH, bounded, largest
from scoring.encodings import JsonSchema

_IDENTIFIER: JsonSchema = {"type": ["string", "null"], "maxLength": 1000}
_CONTEXT: JsonSchema = {
    "type": ["object", "null"],
    "maxProperties": 20,
    "propertyNames": {"maxLength": TEXT_LENGTH},
    "additionalProperties": {"type": "string", "maxLength": TEXT_LENGTH},
}
_INDEX: JsonSchema = {"type": ["integer", "null"]}


def request_schema(schemas: Mapping[str, VersionSchema], max_rows: int, max_bytes: int) -> JsonSchema:
    """Any of the formats with rows that every version accepts.

    `maxItems` is the number of rows whose largest values fit `max_bytes` in every format, at most `max_rows`.
    """
    row = row_schema(schemas)
    extra_fields: dict[str, JsonSchema] = {
        "client_request_id": _IDENTIFIER,
        "usage_context": _CONTEXT,
        "params": bounded(closed(_params(schemas), required=()) | {"type": ["object", "null"]}),
    }
    most = rows_within(max_rows, max_bytes - largest(closed(extra_fields)), row)
    rows: JsonSchema = {"type": "array", "items": row, "minItems": 1, "maxItems": most}
    formats: dict[str, JsonSchema] = {"instances": rows}
    if all(schema.named_fields for schema in schemas.values()):
        splits = [_split(each, most) for each in _alternatives(row)]
        columns = [_columns(each) for each in _alternatives(row)]
        split = splits[0] if len(splits) == 1 else {"anyOf": splits}
        formats = {"dataframe_records": rows, "dataframe_split": split, "instances": rows}
        formats["inputs"] = {"anyOf": [rows, *columns]}
    return {"oneOf": [closed({name: schema} | extra_fields, required=(name,)) for name, schema in formats.items()]}


def row_schema(schemas: Mapping[str, VersionSchema]) -> JsonSchema:
    """A row that every version accepts, with a limit on each text and list."""
    return bounded(_all_of([schema.row for schema in schemas.values()]))


def rows_within(max_rows: int, size: int, row: JsonSchema) -> int:
    """Number of rows of the largest values that fit into a number of bytes, at most `max_rows`; at least one."""
    in_lists = [largest(_cells(each)) + NUMBER_BYTES + 2 for each in _alternatives(row) if "properties" in each]
    fixed = max(largest({"const": list(each.get("properties", {}))}) for each in _alternatives(row)) + 64
    return max(1, min(max_rows, (size - fixed) // (max(largest(row), *in_lists, 0) + 2)))


def body_limit(max_bytes: int) -> str:
    """The limit on a body, and what `maxItems` assumes, in words."""
    return (
        f"At most {max_bytes} bytes, after decompression. A body of up to `maxItems` rows fits if its numbers have "
        f"up to {NUMBER_BYTES} characters and the JSON has no blanks beyond one after each comma and colon."
    )


def _alternatives(row: JsonSchema) -> list[JsonSchema]:
    """The kinds of rows: with a look-up, whole rows and rows with a key."""
    return list(row.get("anyOf", [row]))


def _cells(row: JsonSchema) -> JsonSchema:
    """A row as a list, in the order of the columns."""
    cells: JsonSchema = {"type": "array"}
    if properties := row.get("properties", {}):
        size = len(properties)
        cells |= {"prefixItems": list(properties.values()), "minItems": size, "maxItems": size}
    return cells


def _split(row: JsonSchema, max_rows: int) -> JsonSchema:
    """Columns in the order of the contract. JSON Schema cannot express other orders."""
    names = list(row.get("properties", {}))
    columns: JsonSchema = {"const": names} if names else {"type": "array", "items": {"type": "string"}}
    values: JsonSchema = {"type": "array", "items": _cells(row), "minItems": 1, "maxItems": max_rows}
    index: JsonSchema = {"type": "array", "items": _INDEX, "maxItems": max_rows}
    frame = closed({"columns": columns, "data": values, "index": index}, required=("columns", "data"))
    return frame | {"description": "`columns` may have any order; the values of each row in `data` follow it."}


def _columns(row: JsonSchema) -> JsonSchema:
    """One row as columns. JSON Schema cannot express that longer lists must have equal length."""
    properties = row.get("properties", {})
    lists = {
        name: {"type": "array", "items": schema, "minItems": 1, "maxItems": 1} for name, schema in properties.items()
    }
    description = "One list per column. This schema shows one value; longer lists of equal length work as well."
    return (closed(lists, row["required"]) if lists else {"type": "object"}) | {"description": description}


def _params(schemas: Mapping[str, VersionSchema]) -> dict[str, JsonSchema]:
    """Params that every version accepts."""
    names = [set(schema.params) for schema in schemas.values()]
    common = set.intersection(*names) if names else set()
    first = next(iter(schemas.values()), VersionSchema())
    return {name: schema for name, schema in first.params.items() if name in common}


def _all_of(rows: list[JsonSchema]) -> JsonSchema:
    """A schema of the values that fit all of these; objects with the same fields become one object."""
    each = distinct(rows)
    names = list(each[0].get("properties", {})) if each else []
    if len(each) > 1 and names and all(row.get("properties", {}).keys() == set(names) for row in each):
        merged = {name: _all_of([row["properties"][name] for row in each]) for name in names}
        return closed(merged, [name for name in names if any(name in row["required"] for row in each)])
    return each[0] if len(each) == 1 else {"allOf": each} if each else ANYTHING


def distinct(schemas: list[JsonSchema]) -> list[JsonSchema]:
    """The schemas without repetitions, in their order."""
    return [schema for number, schema in enumerate(schemas) if schema not in schemas[:number]]
