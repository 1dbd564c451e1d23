"""The point-in-time join of the local home, by DuckDB's ASOF join over the files of Delta tables.

The join carries only keys, times and the number of each row through its sorts. Feature columns are read afterwards,
a few at a time, and the values at these numbers are kept. So no second copy of a frame's features is in memory.
"""

import atexit
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
from pyspark.sql.types import DataType

from lakehouse.arrays import Indices, Mask
from lakehouse.tables.gathering import gather
from lakehouse.tables.integers import to_arrow, to_numpy
from lakehouse.tables.scan import Scan, duckdb_type, open_duckdb, quoted
from training.feature_store.duplicates import require_unique
from training.feature_store.joined_rows import JoinedRows, unmatched
from training.feature_store.key_types import compared_types
from training.feature_store.tables import FeatureLookup, FeatureTable, Spine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_DAY = 86_400_000_000  # microseconds
_BATCH = 1_000_000  # rows
_SPARSE = 20  # feature rows for each row of the spine, from which other entities are dropped before the sort


@dataclass(frozen=True)
class ScannedTable:
    """A feature table to join, with its rows."""

    table: FeatureTable
    lookup: FeatureLookup
    scan: Scan


def asof_join(
    spine: Spine,
    rows: Scan,
    sides: Sequence[ScannedTable],
    open_session: "Callable[[], SparkSession]",
    connection: duckdb.DuckDBPyConnection,
) -> "AsofRows":
    """Join the features of every side to a spine, as `point_in_time_join` does; the rows are sorted by time and key.

    Raises:
        KeyTypesDiffer: the spine and a table have a key in different types.
        DuplicateKey: a table has several rows of one key and time.
    """
    types = compared_types(spine, rows.schema, [(side.table, side.scan.schema) for side in sides])
    for side in sides:
        require_unique(side.table, side.scan, connection)
    order = ", ".join(f"{quoted(name)} NULLS FIRST" for name in spine.order)
    names = ", ".join(map(quoted, spine.columns))
    columns = rows.relation(connection, spine.columns)
    ordered = connection.sql(f"SELECT {names} FROM ({columns}) ORDER BY {order}").to_arrow_table()
    connection.register("spine_rows", ordered.append_column("_row", to_arrow(np.arange(len(ordered)))))
    last = f"SELECT epoch_us(max({_instant(spine.timestamp)})) FROM spine_rows"
    ((newest,),) = connection.sql(last).fetchall()
    found = []
    for side in sides:
        places = np.full(len(ordered), -1, dtype=np.int64)
        if newest is not None:
            relation = side.scan.relation(connection, [*side.table.keys, *side.table.times])
            condition = f"since <= make_timestamptz({newest}::BIGINT)"
            if side.scan.rows > _SPARSE * len(ordered):
                keys = _numbered("k", side.table.keys)
                of_spine = f"SELECT {', '.join(_keys(side.table, types))} FROM spine_rows"
                condition += f" AND ({', '.join(keys)}) IN (SELECT ({', '.join(keys)}) FROM ({of_spine}))"
            query = _found(spine, side, types, _known_rows(side.table, relation, types, condition))
            for batch in connection.sql(query).to_arrow_reader(_BATCH):
                row, position = map(to_numpy, batch.columns)
                places[row] = side.scan.places(position)
        found.append(FoundRows(side.scan, side.lookup.features, places, side.lookup.marker))
    connection.unregister("spine_rows")
    return AsofRows(ordered, tuple(found), open_session)


@dataclass(frozen=True)
class FoundRows:
    """The row of a feature table for each row of a spine.

    Attributes:
        places: (rows,) place of the found row in the scan; -1 where there is none.
        marker: name of the column that is NULL where no row was found, if there is one.
    """

    scan: Scan
    features: tuple[str, ...]
    places: Indices
    marker: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that it has."""
        return self.features if self.marker is None else (*self.features, self.marker)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        """(rows,) each feature; NULL where no row was found."""
        with open_duckdb() as connection:
            yield from gather(self.scan, connection, [name for name in names if name != self.marker], self.places)
        if self.marker is not None and self.marker in names:
            yield self.marker, pa.chunked_array([pa.array(self.places >= 0, mask=self.places < 0)])


@dataclass(frozen=True)
class AsofRows:
    """Joined rows: the spine in memory, and features read on demand from the same files."""

    spine: pa.Table
    found: tuple[FoundRows, ...]
    open_session: "Callable[[], SparkSession]"

    def __len__(self) -> int:
        return int(self.spine.num_rows)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        for name in names:
            if name in self.spine.column_names:
                yield name, self.spine[name]
        for found in self.found:
            yield from found.columns([name for name in names if name in found.names])

    def unmatched(self, features: Sequence[str]) -> Mask:
        return unmatched(self, features)

    def where(self, kept: Mask) -> JoinedRows:
        found = tuple(replace(each, places=each.places[kept]) for each in self.found)
        return replace(self, spine=self.spine.filter(pa.array(kept)), found=found)

    def to_arrow(self) -> pa.Table:
        names = [*self.spine.column_names, *(name for found in self.found for name in found.names)]
        return pa.table(dict(self.columns(names)))

    def to_spark(self) -> "DataFrame":
        folder = mkdtemp(prefix="frame-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the engine reads the file until the end
        self.write(Path(folder) / "rows.parquet")
        return self.open_session().read.parquet(folder)

    def write(self, file: Path) -> None:
        """Write all columns to a new Parquet file."""
        import pyarrow.parquet as pq

        pq.write_table(self.to_arrow(), file)


def _known_rows(table: FeatureTable, relation: str, types: Mapping[str, DataType], condition: str) -> str:
    """A query for the rows of a table that a row of the spine may find.

    It has the keys as k0, k1, ..., the times as t0 and t1, and `since`, the time from which a row counts.
    """
    keys, times = _numbered("k", table.keys), _numbered("t", table.times)
    instants = (f"{_instant(time)} AS {name}" for time, name in zip(table.times, times, strict=True))
    columns = [*_keys(table, types), *instants]
    since = f"greatest({', '.join(times)}) AS since"  # a NULL time counts as none
    rows = f"SELECT *, {since} FROM (SELECT {', '.join(columns)}, _position FROM ({relation}))"
    rows = f"SELECT * FROM ({rows}) WHERE {condition}"
    return _newest_so_far(keys, rows) if table.known_at else rows


def _found(spine: Spine, side: ScannedTable, types: Mapping[str, DataType], known_rows: str) -> str:
    """A query for each row of the spine that finds features, with the position of the newest ones."""
    keys = ", ".join(_keys(side.table, types))
    same = " AND ".join(f"s.{key} = f.{key}" for key in _numbered("k", side.table.keys))
    found = f"""
        SELECT s._row, f._position
        FROM (SELECT {keys}, {_instant(spine.timestamp)} AS at, _row FROM spine_rows) AS s
        ASOF JOIN ({known_rows}) AS f ON {same} AND s.at >= f.since
    """
    days = side.lookup.lookback_days
    return found if days is None else f"{found} WHERE epoch_us(f.t0) >= epoch_us(s.at) - {days * _DAY}"


def _newest_so_far(keys: Sequence[str], features: str) -> str:
    """Rows that are newer than all rows known until then; one that arrived late may be older than they are."""
    window = f"PARTITION BY {', '.join(keys)} ORDER BY since, t0 NULLS FIRST, t1 NULLS FIRST"
    return f"""
        SELECT * FROM (
            SELECT
                *,
                max(t0) OVER (ordered ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS newest,
                lead(since) OVER ordered AS next_since
            FROM ({features})
            WINDOW ordered AS ({window})
        )
        WHERE t0 IS NOT DISTINCT FROM newest AND next_since IS DISTINCT FROM since
    """


def _numbered(letter: str, names: Sequence[str]) -> list[str]:
    return [f"{letter}{number}" for number in range(len(names))]


def _keys(table: FeatureTable, types: Mapping[str, DataType]) -> list[str]:
    """The keys in the types in which they are compared, as k0, k1, ..."""
    named = zip(table.keys, _numbered("k", table.keys), strict=True)
    casts = {key: duckdb_type(types[key]) for key in table.keys}
    return [f"{quoted(key)}{f'::{casts[key]}' if casts[key] else ''} AS {name}" for key, name in named]


def _instant(time: str) -> str:
    """A time with its zone; dates and times without one are in UTC, the zone of the connection."""
    return f"{quoted(time)}::TIMESTAMP WITH TIME ZONE"
