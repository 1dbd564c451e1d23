"""SQL condition for the rows that a run appended, derived from the Delta log alone."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse


def appended_beyond(warehouse: Warehouse, name: TableName, key: Sequence[str], since: datetime) -> str | None:
    """SQL condition that holds for every row appended since a time and for no key of an earlier row.

    It exists if a timestamp of the key starts in the new files after the end of all earlier files. Otherwise the
    result is None and every row must be checked: the table is new, rewritten or unchanged, or the times overlap. The
    result is also None for a table that is not built, because dbt asks for the condition when it writes its docs.
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
    """Minimum or maximum of a statistic over the files; None if a file lacks it."""
    values = [file.get(statistic) for file in files]
    return None if None in values else choose(values)
