"""Types of keys: a spine and a feature table match only if comparing their keys changes no value."""

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (Spark's own convention)
from pyspark.sql.types import (
    ByteType,
    CharType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    IntegralType,
    LongType,
    ShortType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
)

from lakehouse.tables.online_store import KeyKind
from training.feature_store.errors import KeyTypesDiffer
from training.feature_store.tables import FeatureTable, Spine

_BY_WIDTH = (ByteType, ShortType, IntegerType, LongType)


def compared_types(
    spine: Spine, rows: StructType, sides: Sequence[tuple[FeatureTable, StructType]]
) -> Mapping[str, DataType]:
    """The type in which each key of the tables is compared.

    Integers of different width are compared as the wider type, decimals of one scale with the greater precision, and
    texts whatever their declared length: every value of both sides is exact there.

    Args:
        spine: keys of the spine.
        rows: schema of the spine.
        sides: each feature table with the schema of its rows.

    Raises:
        KeyTypesDiffer: a table has a key of any other type than the spine.
    """
    types: dict[str, DataType] = {}
    for table, schema in sides:
        for key in table.keys:
            common = _common(types.get(key, rows[key].dataType), schema[key].dataType)
            if common is None:
                of_spine, of_table = (each[key].dataType.simpleString() for each in (rows, schema))
                raise KeyTypesDiffer.of(key, (table.name, of_table), (spine.table, of_spine))
            types[key] = common
    return types


def cast_keys(rows: DataFrame, types: Mapping[str, DataType]) -> DataFrame:
    """The rows with the keys among their columns in these types."""
    different = {
        name: rows[name].cast(data_type)
        for name, data_type in types.items()
        if name in rows.columns and rows.schema[name].dataType != data_type
    }
    return rows.withColumns(different) if different else rows


def with_one_zero(rows: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The rows with 0.0 for -0.0 in these keys; the embedded engine would take them for two keys."""
    floating = [key for key in keys if isinstance(rows.schema[key].dataType, FloatType | DoubleType)]
    zero = {key: (rows[key] + F.lit(0.0)).cast(rows.schema[key].dataType) for key in floating}
    return rows.withColumns(zero) if zero else rows


def _common(one: DataType, other: DataType) -> DataType | None:
    """The type that has every value of both exactly; None if there is none."""
    if isinstance(one, StringType | VarcharType | CharType) and isinstance(other, VarcharType | CharType):
        return one
    if isinstance(one, VarcharType | CharType) and isinstance(other, StringType):
        return other
    if isinstance(one, IntegralType) and isinstance(other, IntegralType):
        return max(one, other, key=lambda each: _BY_WIDTH.index(type(each)))
    if isinstance(one, DecimalType) and isinstance(other, DecimalType) and one.scale == other.scale:
        return max(one, other, key=lambda each: each.precision)
    return one if one.simpleString() == other.simpleString() else None


def key_kind(data_type: DataType) -> KeyKind | None:
    """The type of a key in a request; None if a request has no exact value of the type."""
    if isinstance(data_type, IntegralType) or (isinstance(data_type, DecimalType) and data_type.scale == 0):
        return "integer"
    times = (DateType, TimestampType, TimestampNTZType)
    return "text" if isinstance(data_type, (StringType, VarcharType, CharType, DecimalType, *times)) else None
