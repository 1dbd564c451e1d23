"""Texts without a collation, for readers of Delta that refuse one."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)
from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType

from lakehouse.tables.warehouse import quoted_name


def without_collations(rows: DataFrame) -> DataFrame:
    """The rows; texts, nested ones too, without the collation that JVM Spark gives to results of Python functions.

    Other readers of Delta refuse a collation. A frame without texts is returned as it is.
    """
    fields = rows.schema.fields
    if not any("string" in field.dataType.simpleString() for field in fields):
        return rows
    columns = (F.col(quoted_name(field.name)) for field in fields)
    return rows.select(
        *(
            column.cast(_ddl(field.dataType)).alias(field.name)
            if "string" in field.dataType.simpleString()
            else column
            for column, field in zip(columns, fields, strict=True)
        )
    )


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
