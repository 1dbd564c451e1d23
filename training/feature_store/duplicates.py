"""Several rows of one key and time in the rows of a scan: no rule decides between them."""

import duckdb
import numpy as np

from lakehouse.tables.scan import Scan, quoted
from training.feature_store.errors import DuplicateKey
from training.feature_store.tables import FeatureTable

_BATCH = 1_000_000  # rows
_AT_ONCE = 2**26  # hashes in memory


def require_unique(table: FeatureTable, scan: Scan, connection: duckdb.DuckDBPyConnection) -> None:
    """Check that a key has at most one row at a time.

    Rows with equal hashes are compared; sorted hashes are a tenth of the time and memory of groups.

    Raises:
        DuplicateKey: a key has several rows at a time.
    """
    names = [*table.keys, *table.times]
    relation, columns = scan.relation(connection, names), ", ".join(map(quoted, names))
    hashed = f"SELECT *, hash({columns}) AS _hash FROM ({relation})"
    parts = scan.rows // _AT_ONCE + 1
    for part in range(parts):
        some = hashed if parts == 1 else f"SELECT * FROM ({hashed}) WHERE _hash % {parts} = {part}"
        suspects = _repeated(connection, f"SELECT _hash FROM ({some})", scan.rows)
        if len(suspects):
            _refuse(table, connection, f"SELECT * FROM ({some}) WHERE _hash IN ({', '.join(map(str, suspects))})")


def _repeated(connection: duckdb.DuckDBPyConnection, query: str, rows: int) -> list[int]:
    """Numbers that a query without NULL returns more than once; at most the first thousand."""
    numbers, filled = np.empty(min(rows, 2 * _AT_ONCE), dtype=np.uint64), 0
    for batch in connection.sql(query).to_arrow_reader(_BATCH):
        numbers[filled : filled + len(batch)] = batch.column(0).to_numpy()
        filled += len(batch)
    numbers = numbers[:filled]
    numbers.sort()
    return np.unique(numbers[1:][numbers[1:] == numbers[:-1]])[:1000].tolist()  # type: ignore[no-any-return]


def _refuse(table: FeatureTable, connection: duckdb.DuckDBPyConnection, suspects: str) -> None:
    names = [*table.keys, *table.times]
    columns = ", ".join(map(quoted, names))
    types = connection.sql(f"SELECT {columns} FROM ({suspects}) LIMIT 0").types
    texts = ", ".join(_text(name, str(kind)) for name, kind in zip(names, types, strict=True))
    order = ", ".join(f"{quoted(name)} NULLS FIRST" for name in names)
    query = f"""
        SELECT {texts}, rows FROM (
            SELECT {columns}, count(*) AS rows FROM ({suspects}) GROUP BY {columns} HAVING count(*) > 1
        ) ORDER BY {order} LIMIT 1
    """
    for *values, rows in connection.execute(query).fetchall():
        raise DuplicateKey.at(table.name, dict(zip(names, values, strict=True)), rows)


def _text(name: str, kind: str) -> str:
    zoned = kind == "TIMESTAMP WITH TIME ZONE"
    return f"timezone('UTC', {quoted(name)})::VARCHAR" if zoned else f"{quoted(name)}::VARCHAR"
