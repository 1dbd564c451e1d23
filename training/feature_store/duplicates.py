"""Several rows of one key and time in the rows of a scan: no rule decides between them."""

import duckdb

from lakehouse.tables.repeated_keys import suspects
from lakehouse.tables.scan import Scan, quoted
from training.feature_store.errors import DuplicateKey
from training.feature_store.tables import FeatureTable


def require_unique(table: FeatureTable, scan: Scan, connection: duckdb.DuckDBPyConnection) -> None:
    """Check that a key has at most one row at a time.

    Only rows with equal hashes are compared.

    Raises:
        DuplicateKey: a key has several rows at a time.
    """
    for rows in suspects(scan, [*table.keys, *table.times], connection):
        _refuse(table, connection, rows)


def _refuse(table: FeatureTable, connection: duckdb.DuckDBPyConnection, suspected: str) -> None:
    names = [*table.keys, *table.times]
    columns = ", ".join(map(quoted, names))
    types = connection.sql(f"SELECT {columns} FROM ({suspected}) LIMIT 0").types
    texts = ", ".join(_text(name, str(kind)) for name, kind in zip(names, types, strict=True))
    order = ", ".join(f"{quoted(name)} NULLS FIRST" for name in names)
    query = f"""
        SELECT {texts}, rows FROM (
            SELECT {columns}, count(*) AS rows FROM ({suspected}) GROUP BY {columns} HAVING count(*) > 1
        ) ORDER BY {order} LIMIT 1
    """
    for *values, rows in connection.execute(query).fetchall():
        raise DuplicateKey.at(table.name, dict(zip(names, values, strict=True)), rows)


def _text(name: str, kind: str) -> str:
    zoned = kind == "TIMESTAMP WITH TIME ZONE"
    return f"timezone('UTC', {quoted(name)})::VARCHAR" if zoned else f"{quoted(name)}::VARCHAR"
