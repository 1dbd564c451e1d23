"""Loads deliveries of Parquet files: checks the columns of each file, and loads each delivery once.

A delivery is one file, or several files of a folder whose names differ only in a final dash and five digits.
`20250101-20250201-00007.parquet` belongs to `20250101-20250201`; `shop-2025-01-31.parquet` is a delivery of one file.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.landing.errors import LandingFileMissing, LandingFileRefused
from lakehouse.settings import PROJECT

DELIVERY, KNOWN_AT = "delivery", "known_at"
_PART = re.compile(r"-\d{5}$")
_SQL_TYPES = {
    pa.int64(): "bigint",
    pa.int32(): "int",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
}


def new_rows(dbt: Any, session: SparkSession, landing: Mapping[str, Any]) -> DataFrame:
    """Rows of the deliveries that landed since the last run of this dbt Python model, with their delivery.

    Args:
        dbt: dbt's first argument of the model.
        session: dbt's second argument of the model.
        landing: the model's `meta.landing_files`: `path` of the folder, SQL type of each of the `columns`, and
            `together`, the sibling folders that must have each delivery too.

    Raises:
        LandingFileMissing: the folder has no Parquet file.
        LandingFileRefused: a new file differs from the declared columns, is out of order, lacks its delivery in a
            sibling folder, is from the future, or cannot be read; or a loaded delivery has changed.
    """
    folder = PROJECT / landing["path"]
    landed, until = deliveries(folder), None
    if dbt.is_incremental:
        table = session.table(str(dbt.this))
        loaded = table.groupBy(DELIVERY).agg(F.count(F.lit(1)), F.max(KNOWN_AT)).collect()
        until = max((row[2] for row in loaded), default=None)
        for name, rows, _ in loaded:
            require_unchanged(name, landed.pop(name, []), rows)
        if not landed:
            return table.limit(0)
    for file in (file for files in landed.values() for file in files):
        require_columns(file, landing["columns"])
        require_order(file, until, datetime.now(UTC))
    for sibling in landing.get("together", ()):
        require_in_sibling(folder.parent / sibling, landed)
    return reduce(DataFrame.unionAll, [_rows(session, landing["columns"], *each) for each in landed.items()])


def deliveries(folder: Path) -> dict[str, list[Path]]:
    """Files by delivery, both sorted by name.

    Raises:
        LandingFileMissing: the folder has no Parquet file.
    """
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("[!.]*.parquet")):
        files.setdefault(_PART.sub("", file.stem), []).append(file)
    if not files:
        raise LandingFileMissing.at(folder / "*.parquet")
    return files


def require_columns(file: Path, declared: Mapping[str, str]) -> None:
    """Check that a file has exactly the declared columns.

    Raises:
        LandingFileRefused: a column is missing, undeclared or of another type, or the file is not Parquet.
    """
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as err:
        raise LandingFileRefused.unreadable(file, err) from err
    columns = {field.name: _SQL_TYPES.get(field.type, str(field.type)) for field in schema}
    if columns != dict(declared):
        raise LandingFileRefused.columns(file, columns, declared)


def require_order(file: Path, loaded_until: datetime | None, now: datetime) -> None:
    """Check that every row of a file became known after all loaded rows, and not in the future.

    Raises:
        LandingFileRefused: a row became known no later than the last loaded one, later than now, or has no time.
    """
    times, nulls = _known_times(file)
    if nulls:
        raise LandingFileRefused.without_a_time(file, nulls)
    if not times:
        return
    first, last = min(times), max(times)
    until = loaded_until and loaded_until.replace(tzinfo=UTC)
    if until is not None and first <= until:
        raise LandingFileRefused.out_of_order(file, first, until)
    if last > now:
        raise LandingFileRefused.from_the_future(file, last, now)


def require_unchanged(delivery: str, files: Sequence[Path], loaded: int) -> None:
    """Check that the files of a delivery, if they still exist, have as many rows as were loaded.

    Raises:
        LandingFileRefused: the number of rows differs.
    """
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    if files and rows != loaded:
        raise LandingFileRefused.changed(files[-1], delivery, rows, loaded)


def require_in_sibling(folder: Path, landed: Mapping[str, Sequence[Path]]) -> None:
    """Check that a sibling folder has each delivery too.

    An order that is loaded before its customer is rejected permanently.

    Raises:
        LandingFileMissing: the sibling folder has no delivery.
        LandingFileRefused: the sibling folder lacks a delivery.
    """
    in_sibling = deliveries(folder)
    for delivery, files in landed.items():
        if delivery not in in_sibling:
            raise LandingFileRefused.alone(files[0], delivery, folder)


def _known_times(file: Path) -> tuple[list[datetime], int]:
    """Times that include the smallest and largest `known_at`, and the number of rows without one."""
    footer = pq.read_metadata(file)
    column = footer.schema.to_arrow_schema().get_field_index(KNOWN_AT)
    groups = [footer.row_group(group).column(column).statistics for group in range(footer.num_row_groups)]
    if all(group is not None and group.has_min_max and group.has_null_count for group in groups):
        return [time for group in groups for time in (group.min, group.max)], sum(
            group.null_count for group in groups
        )
    # Some writers omit statistics, and a column of NULL has none.
    known = pq.read_table(file, columns=[KNOWN_AT])[KNOWN_AT]
    return [time for time in pc.min_max(known).as_py().values() if time is not None], known.null_count


def _rows(session: SparkSession, columns: Mapping[str, str], delivery: str, files: list[Path]) -> DataFrame:
    landed = session.read.parquet(*map(str, files)).select(*columns)
    return landed.withColumn(DELIVERY, F.lit(delivery))
