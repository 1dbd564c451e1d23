"""Deliveries of Parquet files as they land: each file's columns checked, and each delivery loaded once.

A delivery is one file, or several of one folder whose names differ only in a last dash and five digits:
`20250101-20250201-00007.parquet` belongs to `20250101-20250201`, and `shop-2025-01-31.parquet` is one by itself.
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

from lakehouse.landing import LandingFileMissing, LandingFileRefused
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
    """The rows that have landed since the last run of this dbt Python model, with the delivery each came in.

    Args:
        dbt: what dbt hands to the model.
        session: the same.
        landing: the model's `meta.landing_files`: the folder's `path`, the SQL type of each of its `columns`, and the
            folders beside it that each delivery is in too, `together`.

    Raises:
        LandingFileMissing: the folder has no Parquet file.
        LandingFileRefused: a new file has other columns than declared, comes out of order, alone or from the future,
            or cannot be read; or a delivery that is loaded has other rows now.
    """
    folder = PROJECT / landing["path"]
    found, until = deliveries(folder), None
    if dbt.is_incremental:
        table = session.table(str(dbt.this))
        loaded = table.groupBy(DELIVERY).agg(F.count(F.lit(1)), F.max(KNOWN_AT)).collect()
        until = max((row[2] for row in loaded), default=None)
        for name, rows, _ in loaded:
            require_unchanged(name, found.pop(name, []), rows)
        if not found:
            return table.limit(0)
    for file in (file for files in found.values() for file in files):
        require_columns(file, landing["columns"])
        require_order(file, until, datetime.now(UTC))
    for beside in landing.get("together", ()):
        require_beside(folder.parent / beside, found)
    return reduce(DataFrame.unionAll, [_rows(session, landing["columns"], *each) for each in found.items()])


def deliveries(folder: Path) -> dict[str, list[Path]]:
    """The files of each delivery, both in the order of their names.

    Raises:
        LandingFileMissing: there are none.
    """
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("[!.]*.parquet")):
        found.setdefault(_PART.sub("", file.stem), []).append(file)
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


def require_unchanged(delivery: str, files: Sequence[Path], loaded: int) -> None:
    """Make sure that the files of a delivery, where they are still there, have the rows that were loaded.

    Raises:
        LandingFileRefused: they have more or fewer.
    """
    there = sum(pq.read_metadata(file).num_rows for file in files)
    if files and there != loaded:
        raise LandingFileRefused.changed(files[-1], delivery, there, loaded)


def require_beside(folder: Path, found: Mapping[str, Sequence[Path]]) -> None:
    """Make sure that each delivery is in another folder too.

    An order that is loaded before its customer is refused for good.

    Raises:
        LandingFileMissing: there is none.
        LandingFileRefused: one is not there.
    """
    there = deliveries(folder)
    for delivery, files in found.items():
        if delivery not in there:
            raise LandingFileRefused.alone(files[0], delivery, folder)


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
