"""Values of chosen rows of a scan."""

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakehouse.arrays import Indices
from lakehouse.tables.integers import to_arrow
from lakehouse.tables.scan import Scan

_AT_ONCE = 2**29  # bytes of the columns that are gathered in one pass, at eight for each value
_WHOLE = 2**29  # bytes of columns that are rather read whole, at eight for each value: that needs no order of places


def gather(
    scan: Scan, connection: duckdb.DuckDBPyConnection, names: Sequence[str], places: Indices
) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """(rows,) each column at some places of a scan, one after the other; NULL where a place is negative.

    Where a whole column would take much memory, all rows of the scan pass by in batches, and only those at the places
    are kept. So memory grows with the places and not with the rows of the table.
    """
    if not names:
        return
    if whole := _WHOLE // (8 * max(scan.rows, 1)):
        yield from _from_whole(scan, connection, names, places, whole)
        return
    sorted_places, ranks = _sorted(places)
    without, columns = int(np.searchsorted(sorted_places, 0)), max(_AT_ONCE // (8 * max(len(places), 1)), 1)
    for first in range(0, len(names), columns):
        some = names[first : first + columns]
        reader = scan.batches(connection, some)
        kept: list[list[pa.Array]] = [[pa.nulls(without, field.type)] for field in reader.schema]
        begin, taken = 0, without
        for batch in reader:
            end = begin + len(batch)
            until = int(np.searchsorted(sorted_places, end))
            if until > taken:
                rows = batch.take(to_arrow(sorted_places[taken:until] - begin))
                for chunks, values in zip(kept, rows.columns, strict=True):
                    chunks.append(values)
            begin, taken = end, until
        kept.reverse()
        for name in some:
            values = pa.chunked_array(kept.pop()).combine_chunks()
            yield name, pa.chunked_array([values.take(ranks)])


def _from_whole(
    scan: Scan, connection: duckdb.DuckDBPyConnection, names: Sequence[str], places: Indices, at_once: int
) -> Iterator[tuple[str, pa.ChunkedArray]]:
    indices = to_arrow(places, places >= 0)
    for first in range(0, len(names), at_once):
        some = names[first : first + at_once]
        read = scan.batches(connection, some).read_all()
        for name in some:
            values = read[name].combine_chunks()
            read = read.drop_columns([name])
            yield name, pa.chunked_array([values.take(indices)])


def _sorted(places: Indices) -> tuple[Indices, pa.Array]:
    """The places, ascending, and the place of each row among them."""
    order = np.argsort(places)
    narrow: npt.DTypeLike = np.int32 if len(places) < 2**31 else np.int64
    ranks = np.empty(len(places), dtype=narrow)
    ranks[order] = np.arange(len(places), dtype=narrow)
    return places[order], pa.array(ranks)
