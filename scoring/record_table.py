"""Records of a request as an array of codes; readers of codes need no record."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, overload

import numpy as np

from lakehouse.arrays import Floats
from scoring.encodings.field_types import RequestFields


@dataclass(frozen=True)
class RecordTable(Sequence[dict[str, Any]]):
    """A list of records that are made only if something reads them.

    Attributes:
        fields: the fields of every record.
        codes: (records, fields) the code of each value.
        make_records: makes the records; called once at most.
    """

    fields: RequestFields
    codes: Floats
    make_records: Callable[[], list[dict[str, Any]]]

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """The records of several tables with the same fields."""
        codes = np.concatenate([table.codes for table in tables])
        return cls(tables[0].fields, codes, lambda: [record for table in tables for record in table])

    def __len__(self) -> int:
        return len(self.codes)

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
