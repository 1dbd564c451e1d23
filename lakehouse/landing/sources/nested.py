"""Objects within rows as columns: the field `zip` of the object `address` is the column `address.zip`.

Objects within objects have longer names of that form. Lists, and values that are objects in some rows alone, stay as
they are: no SQL type fits them.
"""

from collections.abc import Collection, Iterable, Iterator

import duckdb
import pyarrow as pa

from lakehouse.tables.scan import quoted


def flat_schema(schema: pa.Schema, whole: Collection[str]) -> pa.Schema:
    """The columns, with the fields of objects in place of the objects.

    Args:
        schema: columns of a source.
        whole: objects that stay one column.
    """
    fields = list(schema)
    while any(_is_object(field, whole) for field in fields):
        fields = [each for field in fields for each in (field.flatten() if _is_object(field, whole) else [field])]
    return pa.schema(fields)


def flat_batches(batches: Iterable[pa.RecordBatch], whole: Collection[str]) -> Iterator[pa.RecordBatch]:
    """The rows with the columns of `flat_schema`; an object that is NULL has fields that are NULL."""
    for batch in batches:
        columns = list(zip(batch.schema, batch.columns, strict=True))
        while any(_is_object(field, whole) for field, _ in columns):
            columns = [each for column in columns for each in _fields(*column, whole)]
        schema = pa.schema([field for field, _ in columns])
        yield pa.RecordBatch.from_arrays([values for _, values in columns], schema=schema)


def _is_object(field: pa.Field, whole: Collection[str]) -> bool:
    return pa.types.is_struct(field.type) and field.name not in whole


def _fields(field: pa.Field, values: pa.Array, whole: Collection[str]) -> Iterable[tuple[pa.Field, pa.Array]]:
    if not _is_object(field, whole):
        return [(field, values)]
    return zip(field.flatten(), values.flatten(), strict=True)


def with_plain_texts(rows: duckdb.DuckDBPyRelation, whole: Collection[str]) -> duckdb.DuckDBPyRelation:
    """Rows of JSON with flat columns, where a column of numbers and texts has texts without quotes.

    DuckDB keeps values of several kinds as JSON. If one of them is an object or a list, the column becomes bytes,
    which have no SQL type.

    Raises:
        duckdb.Error: a row is not JSON.
    """
    paths = [
        path for name, kind in zip(rows.columns, rows.types, strict=True) for path in _paths((name,), kind, whole)
    ]
    mixed = [expression for _, expression, kind in paths if kind == "JSON"]
    nested = _nested(rows, mixed) if mixed else {}
    return rows.select(
        ", ".join(
            f"{_as_text(expression, nested) if kind == 'JSON' else expression} as {quoted(name)}"
            for name, expression, kind in paths
        )
    )


def _paths(path: tuple[str, ...], kind: object, whole: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Name, SQL and type of each flat column."""
    name = ".".join(path)
    is_object = getattr(kind, "id", "") == "struct" and name not in whole
    if not is_object:
        yield name, ".".join(map(quoted, path)), str(kind)
        return
    for field, inner in kind.children:  # type: ignore[attr-defined]  # DuckDB types a kind by its `id`
        yield from _paths((*path, field), inner, whole)


def _nested(rows: duckdb.DuckDBPyRelation, expressions: list[str]) -> dict[str, bool]:
    tests = ", ".join(f"coalesce(bool_or(json_type({each}) in ('OBJECT', 'ARRAY')), false)" for each in expressions)
    (found,) = rows.aggregate(tests).fetchall()
    return dict(zip(expressions, found, strict=True))


def _as_text(expression: str, nested: dict[str, bool]) -> str:
    return f"encode(cast({expression} as varchar))" if nested[expression] else f"{expression} ->> '$'"
