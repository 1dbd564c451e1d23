"""Proof that no two rows of a table have one key, by sorted hashes instead of groups."""

from collections.abc import Sequence

from lakehouse.tables.repeated_keys import Nullness, suspects
from lakehouse.tables.scan import FileScan, RowsUnreadable, open_duckdb
from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse

_EVERY = "true"  # the condition of all rows


def has_unique_key(warehouse: Warehouse, name: TableName, key: Sequence[str], among: str = _EVERY) -> bool:
    """Tell if it is certain that each key has one row. False also stands for a table that must be checked in SQL.

    DuckDB reads the files and takes no two keys for different that the engine takes for equal.

    Args:
        among: SQL condition of the rows to compare. One that engines may read in different ways is ignored: all rows
            are compared.
    """
    only = Nullness.parse(among)
    try:
        with open_duckdb() as connection:
            scan = FileScan.of(connection, warehouse.open(name))
            # A key may also be an expression, or a name in other letters; only the engine reads these.
            if scan is None or not set(key) <= set(scan.schema.names):
                return False
            if only is not None and only.column not in scan.schema.names:
                only = None
            return next(suspects(scan, key, connection, only), None) is None
    except (TableNotFound, RowsUnreadable):
        return False
