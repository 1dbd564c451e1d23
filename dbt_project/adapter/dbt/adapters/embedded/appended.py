"""What this run has appended to a table, told from the Delta log alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.warehouse import TableName, TableNotFound, Warehouse


def appended_beyond(warehouse: Warehouse, name: TableName, key: Sequence[str], since: datetime) -> str | None:
    """A SQL condition that holds for every row that was appended since a time, and for no key of the rows before.

    There is one where the new files begin beyond the end of all earlier ones in a time of the key. None where the
    table is new, was rewritten or not written to, or where the times overlap: then every row is in question. So they
    are of a table that is not built, which dbt asks for too when it writes its docs.
    """
    try:
        table = warehouse.open(name)
    except TableNotFound:
        return None
    until = since.timestamp() * 1000
    earlier = (commit["version"] for commit in table.history() if commit.get("timestamp", until) < until)
    before = max(earlier, default=None)
    if before is None or before == table.version():
        return None
    old, new = _files(warehouse.open(name, before)), _files(table)
    if not old or not new or not old.keys() < new.keys():
        return None
    appended = [new[path] for path in new.keys() - old.keys()]
    for column in key:
        last, first = _bound(max, old.values(), f"max.{column}"), _bound(min, appended, f"min.{column}")
        comparable = isinstance(last, datetime) and isinstance(first, datetime)
        if comparable and first > last and not any(file[f"null_count.{column}"] for file in appended):
            return f"{column} > timestamp'{last:%Y-%m-%d %H:%M:%S.%f}'"
    return None


def _files(table: DeltaTable) -> dict[str, dict[str, Any]]:
    return {file["path"]: file for file in pa.table(table.get_add_actions(flatten=True)).to_pylist()}


def _bound(choose: Any, files: Iterable[dict[str, Any]], statistic: str) -> Any:
    """The least or greatest of the files' statistics; None where one has none."""
    found = [file.get(statistic) for file in files]
    return None if None in found else choose(found)
