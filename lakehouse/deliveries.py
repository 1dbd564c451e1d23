"""Deliveries of Parquet files as they land: each file's columns checked, and each delivery loaded once.

A delivery is all files of one folder whose names differ only behind the last dash: `20250101-20250201-00007.parquet`
belongs to `20250101-20250201`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.landing import LandingFileMissing, LandingFileRefused
from lakehouse.settings import PROJECT

DELIVERY, KNOWN_AT = "delivery", "known_at"
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
    """The rows that have landed since the last run of this dbt Python model, with the delivery each came in.

    Args:
        dbt: what dbt hands to the model.
        session: the same.
        landing: the model's `meta.landing_files`: the folder's `path`, and the SQL type of each of its `columns`.

    Raises:
        LandingFileMissing: the folder has no Parquet file.
        LandingFileRefused: a new file has other columns than declared, comes out of order or from the future, or
            cannot be read.
    """
    found = deliveries(PROJECT / landing["path"])
    loaded: dict[str, datetime] = {}
    if dbt.is_incremental:
        table = session.table(str(dbt.this))
        loaded = {row[0]: row[1] for row in table.groupBy(DELIVERY).agg(F.max(KNOWN_AT)).collect()}
        found = {name: files for name, files in found.items() if name not in loaded}
        if not found:
            return table.limit(0)
    for file in (file for files in found.values() for file in files):
        require_columns(file, landing["columns"])
        require_order(file, max(loaded.values(), default=None), datetime.now(UTC))
    return reduce(DataFrame.unionAll, [_rows(session, landing["columns"], *each) for each in found.items()])


def deliveries(folder: Path) -> dict[str, list[Path]]:
    """The files of each delivery, both in the order of their names.

    Raises:
        LandingFileMissing: there are none.
    """
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("[!.]*.parquet")):
        found.setdefault(file.stem.rpartition("-")[0] or file.stem, []).append(file)
    if not found:
        raise LandingFileMissing.at(folder / "*.parquet")
    return found


def require_columns(file: Path, declared: Mapping[str, str]) -> None:
    """Make sure that a file has the declared columns, and no other.

    Raises:
        LandingFileRefused: a column is missing, too many or of another type, or the file is no Parquet.
    """
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as err:
        raise LandingFileRefused.unreadable(file, err) from err
    there = {field.name: _SQL_TYPES.get(field.type, str(field.type)) for field in schema}
    if there != dict(declared):
        raise LandingFileRefused.columns(file, there, declared)


def require_order(file: Path, loaded_until: datetime | None, now: datetime) -> None:
    """Make sure that a file tells nothing of a time whose rows were taken for complete, and nothing of the future.

    Raises:
        LandingFileRefused: a row became known no later than the last that is loaded, later than now, or at no time.
    """
    times, without = _known(file)
    if without:
        raise LandingFileRefused.without_a_time(file, without)
    if not times:
        return
    first, last = min(times), max(times)
    until = loaded_until and loaded_until.replace(tzinfo=UTC)
    if until is not None and first <= until:
        raise LandingFileRefused.out_of_order(file, first, until)
    if last > now:
        raise LandingFileRefused.from_the_future(file, last, now)


def _known(file: Path) -> tuple[list[datetime], int]:
    """Times among which are the first and the last at which a row became known, and how many rows have none."""
    footer = pq.read_metadata(file)
    column = footer.schema.to_arrow_schema().get_field_index(KNOWN_AT)
    groups = [footer.row_group(group).column(column).statistics for group in range(footer.num_row_groups)]
    if all(group is not None and group.has_min_max and group.has_null_count for group in groups):
        return [time for group in groups for time in (group.min, group.max)], sum(
            group.null_count for group in groups
        )
    # Some writers leave statistics out, and where every value is missing there are none.
    known = pq.read_table(file, columns=[KNOWN_AT])[KNOWN_AT]
    return [time for time in pc.min_max(known).as_py().values() if time is not None], known.null_count


def _rows(session: SparkSession, columns: Mapping[str, str], delivery: str, files: list[Path]) -> DataFrame:
    landed = session.read.parquet(*map(str, files)).select(*columns)
    return landed.withColumn(DELIVERY, F.lit(delivery))
