"""Rows of a point-in-time join: columns of the spine and of the looked-up features, in the order of the spine."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

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

    def where(self, kept: Mask) -> "JoinedRows":
        """The rows where `kept` (rows,) is True."""
        ...

    def to_arrow(self) -> pa.Table:
        """All columns in memory."""
        ...

    def to_spark(self) -> "DataFrame":
        """The rows as a frame of the engine. It may have lost their order."""
        ...


class ArrowRows:
    """Joined rows in memory."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        for name in names:
            yield name, self._table[name]

    def where(self, kept: Mask) -> JoinedRows:
        return ArrowRows(self._table.filter(pa.array(kept)))

    def to_arrow(self) -> pa.Table:
        return self._table

    def to_spark(self) -> "DataFrame":
        from lakehouse.session import open_session

        return open_session().createDataFrame(self._table)


class SparkRows:
    """A lazy frame of Spark; it is computed when its rows are first needed here, once."""

    def __init__(self, frame: "DataFrame") -> None:
        self._frame = frame

    def __len__(self) -> int:
        return len(self._computed)

    def columns(self, names: Sequence[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        return self._computed.columns(names)

    def where(self, kept: Mask) -> JoinedRows:
        return self._computed.where(kept)

    def to_arrow(self) -> pa.Table:
        return self._computed.to_arrow()

    def to_spark(self) -> "DataFrame":
        return self._frame

    @cached_property
    def _computed(self) -> ArrowRows:
        return ArrowRows(self._frame.toArrow())
