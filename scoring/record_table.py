"""Records with the same fields, as columns; readers of columns need no record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload


@dataclass(frozen=True)
class RecordTable(Sequence[dict[str, Any]]):
    """A list of records that are made only if something reads them.

    Attributes:
        columns: the values of each field, at least one.
        make_records: makes the records; called once at most.
    """

    columns: Mapping[str, Sequence[Any]]
    make_records: Callable[[], list[dict[str, Any]]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        return self._records[index]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._records)

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return self.make_records()
