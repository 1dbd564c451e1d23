"""Rows of a point-in-time join: columns of the spine and of the looked-up features, in the order of the spine."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, reduce
from operator import and_
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from lakehouse.arrays import Mask

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class JoinedRows(Protocol):
    """Rows sorted by `Spine.order`, in columns."""

    def __len__(self) -> int: ...

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        """(rows,) each column, one after the other: whoever keeps none of them needs the memory of one."""
        ...

    def unmatched(self, features: Sequence[str]) -> Mask:
        """(rows,) True where none of the features has a value: the table has no row for it."""
        ...

    def where(self, kept: Mask) -> "JoinedRows":
        """The rows where `kept` (rows,) is True."""
        ...

    def to_arrow(self) -> pa.Table:
        """All columns in memory."""
        ...

    def to_spark(self) -> "DataFrame":
        """The rows as a frame of the engine. It may have lost their order."""
        ...


def unmatched(rows: JoinedRows, features: Sequence[str]) -> Mask:
    """(rows,) True where none of the features has a value, read column by column."""
    found = np.ones(len(rows), dtype=np.bool_)
    for feature in features:
        ((_, values),) = rows.columns([feature])
        found &= values.is_null().to_numpy()
        if not found.any():
            break
    return found


class ArrowRows:
    """Joined rows in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        for name in names:
            yield name, self._table[name]

    def unmatched(self, features: Sequence[str]) -> Mask:
        return unmatched(self, features)

    def where(self, kept: Mask) -> JoinedRows:
        return ArrowRows(self._table.filter(pa.array(kept)))

    def to_arrow(self) -> pa.Table:
        return self._table

    def to_spark(self) -> "DataFrame":
        from lakehouse.session import open_session

        return open_session().createDataFrame(self._table)


class SparkRows:
    """A lazy frame of Spark; it is computed when its rows are first needed here, once.

    Args:
        frame: the rows, sorted.
        order: the columns that they are sorted by.
    """

    def __init__(self, frame: "DataFrame", order: Sequence[str]) -> None:
        self._frame, self._order = frame, order

    def __len__(self) -> int:
        return len(self._computed)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        return self._computed.columns(names)

    def unmatched(self, features: Sequence[str]) -> Mask:
        return self._computed.unmatched(features)

    def where(self, kept: Mask) -> JoinedRows:
        return self._computed.where(kept)

    def to_arrow(self) -> pa.Table:
        return self._computed.to_arrow()

    def to_spark(self) -> "DataFrame":
        return self._frame

    def of_spine(self, spine: Sequence[str], tables: Sequence[Sequence[str]]) -> "SpineRows":
        """The rows without their features, which stay on Spark.

        Args:
            spine: columns of the spine.
            tables: the features of each table.
        """
        from pyspark.sql import functions as F  # noqa: N812

        flags = {tuple(features): f"$unmatched_{number}" for number, features in enumerate(tables)}
        marks = [
            reduce(and_, (F.col(f"`{feature}`").isNull() for feature in features)).alias(flag)
            for features, flag in flags.items()
            if features
        ]
        # Sail keeps no order through a selection: 50,000 rows came back as several sorted parts.
        rows = self._frame.select(*(f"`{name}`" for name in spine), *marks).orderBy(*self._order)
        return SpineRows(rows.toArrow(), flags)

    @cached_property
    def _computed(self) -> ArrowRows:
        return ArrowRows(self._frame.toArrow())


class SpineRows(ArrowRows):
    """Rows in memory without their features: columns of the spine, and which tables have a row for them."""

    def __init__(self, table: pa.Table, flags: Mapping[tuple[str, ...], str]) -> None:
        super().__init__(table)
        self._flags = flags

    def unmatched(self, features: Sequence[str]) -> Mask:
        return np.asarray(self._table[self._flags[tuple(features)]].to_numpy(), dtype=np.bool_)

    def where(self, kept: Mask) -> "SpineRows":
        return SpineRows(self._table.filter(pa.array(kept)), self._flags)
