"""Texts without a collation, for readers of Delta that refuse one."""

from pyspark.sql import Column
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType

from lakehouse.tables.warehouse import quoted_name


def plain_text(column: Column, data_type: DataType) -> Column:
    """The column; texts, nested ones too, without the collation that the JVM engine gives to texts from workers.

    Other readers of Delta refuse a collation.
    """
    return column.cast(_ddl(data_type)) if "string" in data_type.simpleString() else column


def _ddl(data_type: DataType) -> str:
    """The type in SQL, where a text has no collation.

    >>> from pyspark.sql.types import StructField
    >>> _ddl(StructType([StructField("a b", ArrayType(StringType()))]))
    'struct<`a b`: array<string>>'
    """
    if isinstance(data_type, StringType):
        return "string"
    if isinstance(data_type, ArrayType):
        return f"array<{_ddl(data_type.elementType)}>"
    if isinstance(data_type, MapType):
        return f"map<{_ddl(data_type.keyType)}, {_ddl(data_type.valueType)}>"
    if isinstance(data_type, StructType):
        fields = ", ".join(f"{quoted_name(field.name)}: {_ddl(field.dataType)}" for field in data_type.fields)
        return f"struct<{fields}>"
    return data_type.simpleString()
