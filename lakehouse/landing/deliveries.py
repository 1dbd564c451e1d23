"""Loads deliveries of Parquet files: checks the columns of each file, and loads each delivery once.

A delivery is one file, or several files of a folder whose names differ only in a final dash and five digits.
`20250101-20250201-00007.parquet` belongs to `20250101-20250201`; `shop-2025-01-31.parquet` is a delivery of one file.

Folders whose rows refer to each other are loaded one after the other, the referenced one first. So no run loads the
orders of a delivery without its customers. A new customer must be known after all orders that are already loaded:
each of them was checked, once, against the customers of that time.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.landing.errors import LandingFileMissing, LandingFileRefused
from lakehouse.settings import PROJECT

DELIVERY, KNOWN_AT, EPOCH = "delivery", "known_at", datetime(1970, 1, 1, tzinfo=UTC)
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


def new_rows(
    session: SparkSession, landing: Mapping[str, Any], loaded: str | None, **loaded_first: DataFrame
) -> DataFrame:
    """Rows of the deliveries that landed since the last run of a model, with their delivery.

    A delivery that lands during the run waits for the next one, if the run has not loaded its rows of `loaded_first`.

    Args:
        session: the session of the run.
        landing: the model's `meta.landing_files`: `path` of the folder, SQL type of each of the `columns`,
            `together`, the sibling folders that must have each delivery too, and `before`, the tables of this schema
            that later models of the same run load, and whose loaded rows must be older than each new row.
        loaded: table with the rows of earlier runs; none if this run loads every delivery.
        loaded_first: tables that the run has loaded before this one, by sibling folder.

    Raises:
        LandingFileMissing: the folder has no Parquet file.
        LandingFileRefused: a new file differs from the declared columns, is out of order, lacks its delivery in a
            sibling folder, is from the future, or cannot be read; or a loaded delivery has changed.
    """
    folder, columns = PROJECT / landing["path"], landing["columns"]
    landed, known_until = deliveries(folder), dict[str, datetime]()
    if loaded is not None:
        counted = session.table(loaded).groupBy(DELIVERY).agg(F.count("*"), _last_micros()).collect()
        for name, rows, _ in counted:
            require_unchanged(name, landed.pop(name, []), rows)
        known_until = _known_until(session, loaded, landing.get("before", ()), [micros for *_, micros in counted])
    for file in (file for files in landed.values() for file in files):
        require_columns(file, columns)
        require_order(file, known_until, datetime.now(UTC))
    for sibling in landing.get("together", ()):
        require_in_sibling(folder.parent / sibling, landed)
    for sibling, table in loaded_first.items():
        landed = _loaded_in_sibling(folder.parent / sibling, table, landed)
    nothing = session.createDataFrame([], ", ".join(f"{name} {kind}" for name, kind in columns.items()))
    frames = [_rows(session, columns, *each) for each in landed.items()]
    return reduce(DataFrame.unionAll, frames or [nothing.withColumn(DELIVERY, F.lit(""))])


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


def require_order(file: Path, known_until: Mapping[str, datetime], now: datetime) -> None:
    """Check that every row of a file became known after all loaded rows, and not in the future.

    Args:
        file: the file.
        known_until: time of the last loaded row of each table.
        now: the present.

    Raises:
        LandingFileRefused: a row became known no later than a loaded one, later than now, or has no time.
    """
    times, nulls = _known_times(file)
    if nulls:
        raise LandingFileRefused.without_a_time(file, nulls)
    if not times:
        return
    first, last = min(times), max(times)
    for table, until in known_until.items():
        if first <= until:
            raise LandingFileRefused.out_of_order(file, first, table, until)
    if last > now:
        raise LandingFileRefused.from_the_future(file, last, now)


def require_unchanged(delivery: str, files: Sequence[Path], loaded: int) -> None:
    """Check that the files of a delivery, if they still exist, have as many rows as were loaded.

    Raises:
        LandingFileRefused: the number of rows differs.
    """
    rows = _row_count(files)
    if files and rows != loaded:
        raise LandingFileRefused.changed(files[-1], delivery, rows, loaded)


def require_in_sibling(folder: Path, landed: Mapping[str, Sequence[Path]]) -> None:
    """Check that a sibling folder has each delivery too.

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


def _known_until(
    session: SparkSession, own: str, others: Sequence[str], own_micros: Sequence[int | None]
) -> dict[str, datetime]:
    """Time of the last loaded row of a table, and of other tables in its schema if they exist.

    Args:
        own: the table.
        others: names of the other tables.
        own_micros: microseconds since 1970 of the last row of each delivery of the table.
    """
    schema, dot, _ = own.rpartition(".")
    names = [f"{schema}{dot}{name}" for name in others]
    found = [name for name in names if session.catalog.tableExists(name)]
    micros = {
        own: max((micros for micros in own_micros if micros is not None), default=None),
        **{name: session.table(name).agg(_last_micros()).collect()[0][0] for name in found},
    }
    times = {name.replace("`", ""): time for name, time in micros.items() if time is not None}
    return {name: EPOCH + timedelta(microseconds=time) for name, time in times.items()}


def _last_micros() -> Column:
    # The engine counts in UTC. A collected timestamp has the time zone of this process.
    return F.unix_micros(F.max(KNOWN_AT))


def _loaded_in_sibling(folder: Path, table: DataFrame, landed: Mapping[str, list[Path]]) -> dict[str, list[Path]]:
    """Deliveries that have no rows in a sibling folder, or whose rows the run has loaded into its table."""
    loaded, files = {row[0] for row in table.select(DELIVERY).distinct().collect()}, deliveries(folder)
    return {name: each for name, each in landed.items() if name in loaded or not _row_count(files[name])}


def _row_count(files: Sequence[Path]) -> int:
    return sum(pq.read_metadata(file).num_rows for file in files)


def _rows(session: SparkSession, columns: Mapping[str, str], delivery: str, files: list[Path]) -> DataFrame:
    landed = session.read.parquet(*map(str, files)).select(*columns)
    return landed.withColumn(DELIVERY, F.lit(delivery))
