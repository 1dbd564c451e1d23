"""Column types of a query as the engine computes them."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import StructType


def executed_schema(rows: DataFrame) -> StructType:
    """Columns and types of the rows.

    `rows.schema` is Sail's analysis before it converts the branches of CASE, IF and UNION to one type. It says int
    for `select 1 union all select 2.5D`, whose rows are doubles, and a table of that type would lose the fraction.

    Raises:
        PySparkException: the rows cannot be computed.
    """
    plan = rows.limit(0)
    execution: Any = plan._to_table  # PySpark has no public method that returns the schema of an execution
    executed: StructType | None = execution()[1]
    return executed if executed is not None else plan.schema
