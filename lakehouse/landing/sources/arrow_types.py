"""Types of a source's columns, and rows in these types."""

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.landing.sources.declaration import SqlType
from lakehouse.landing.sources.errors import LandingSourceRefused

ARROW: Mapping[SqlType, pa.DataType] = {
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
KINDS: Mapping[SqlType, str] = {
    "bigint": "an integer of 64 bits",
    "double": "a number",
    "boolean": "true or false",
    "string": "a text",
    "date": "a date",
    "timestamp": "a time",
}


def sql_type(kind: pa.DataType) -> SqlType | None:
    """SQL type of an Arrow type; None for nested values, bytes and others without one.

    >>> sql_type(pa.int16()), sql_type(pa.decimal128(9, 2)), sql_type(pa.list_(pa.int8()))
    ('bigint', 'double', None)
    """
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type)
    tests: Mapping[Callable[[pa.DataType], bool], SqlType] = {
        pa.types.is_boolean: "boolean",
        pa.types.is_integer: "bigint",
        pa.types.is_floating: "double",
        pa.types.is_decimal: "double",
        pa.types.is_date: "date",
        pa.types.is_timestamp: "timestamp",
        pa.types.is_string: "string",
        pa.types.is_large_string: "string",
        pa.types.is_string_view: "string",
    }
    return next((name for test, name in tests.items() if test(kind)), None)


def as_type(values: pa.ChunkedArray | pa.Array, kind: SqlType, source: str, column: str) -> pa.Array:
    """Values in a SQL type; a time without zone is UTC.

    Raises:
        LandingSourceRefused: a value is none of the type.
    """
    try:
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if kind == "timestamp" and pa.types.is_date(values.type):
            values = values.cast(pa.timestamp("us"))
        if kind == "timestamp" and pa.types.is_string(values.type):
            values = _times(values)
        if kind == "timestamp" and pa.types.is_timestamp(values.type):
            # Digits below a microsecond are cut off: the engine has no place for them.
            values = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False)
            return values.cast(ARROW[kind]) if values.type.tz else pc.assume_timezone(values, "UTC")
        return values.cast(ARROW[kind])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise LandingSourceRefused.value(source, column, KINDS[kind], err) from err


def _times(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Texts such as 2024-01-31 10:00 as times, with the zone that they have, or none."""
    try:
        return texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return texts.cast(pa.timestamp("us", tz="UTC"))
