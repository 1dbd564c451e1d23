"""Keys in place of features: what a request does not say of an entity, its newest row in the online tables says."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from lakehouse.errors import nearest
from scoring.contract import ContractViolation, Problem, check
from scoring.encoder import Encoder
from scoring.encodings import Encoding
from scoring.hooks import Record
from scoring.row_reader import EncodedRow, RowReader, places

DAY = 86_400_000_000  # microseconds


class LookedUp(Protocol):
    """The newest features of one key; `as_of` is microseconds since 1970."""

    @property
    def as_of(self) -> int: ...

    @property
    def features(self) -> Mapping[str, float | None]: ...


Online = Callable[[str, tuple[Any, ...]], LookedUp | None]  # the row of a table and a key


@dataclass(frozen=True)
class KeyLookup:
    """What is looked up, and what becomes of an entity that nobody knows.

    Attributes:
        keys: the fields of a request that name an entity.
        tables: of each online table the features that the model does not take from it.
        lookback_days: how old a row of a table may be.
        unknown: `refuse` a key that a table does not have, or answer with the `defaults`.
        defaults: raw columns of an entity that nobody knows; those that are not named are null.
    """

    keys: tuple[str, ...]
    tables: Mapping[str, tuple[str, ...]]
    lookback_days: Mapping[str, int] = field(default_factory=dict)
    unknown: Literal["refuse", "defaults"] = "refuse"
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "KeyLookup":
        """As JSON has it."""
        tables = {table: tuple(excluded) for table, excluded in said["tables"].items()}
        return cls(**{**said, "keys": tuple(said["keys"]), "tables": tables})


class KeyedRows:
    """Makes rows of records that name an entity; what they say themselves is taken before what is looked up."""

    def __init__(
        self, lookup: KeyLookup, encoder: Encoder, online: Online, now: Callable[[], float] = time.time
    ) -> None:
        """Raises ContractViolation if the defaults break the input contract."""
        self._lookup = lookup
        self._online = online
        self._now = now
        self._encoder = encoder
        self._reader = RowReader(encoder)
        self._places = {name: place for place, name in enumerate(encoder.features)}
        self._by_column: dict[str, list[tuple[Encoding, list[int]]]] = {}
        for encoding in encoder.encodings:
            self._by_column.setdefault(encoding.column, []).append((encoding, places(encoding, encoder)))
        blank = {column: lookup.defaults.get(column) for column in self._by_column}
        self._default = self._reader.rows([blank])[0] if lookup.unknown == "defaults" else None

    def rows(self, records: Sequence[Record]) -> list[EncodedRow]:
        """One row for each record; one without a key is held to the contract in full.

        Raises:
            ContractViolation: with what is wrong with each of them.
        """
        if not any(self._names(record) for record in records):
            with suppress(ContractViolation):  # it is told below
                return self._reader.rows(records)
        rows, problems = list[EncodedRow](), list[Problem]()
        for number, record in enumerate(records):
            try:
                rows.append(self._keyed(record) if self._names(record) else self._reader.rows([record])[0])
            except ContractViolation as err:
                found = err.problems if self._names(record) else [*self._without_key(record), *err.problems]
                problems += [replace(problem, row=number) for problem in found]
        if problems:
            raise ContractViolation(problems)
        return rows

    def _names(self, record: Record) -> bool:
        """Whether a record names an entity."""
        return any(key in record for key in self._lookup.keys)

    def _without_key(self, record: Record) -> list[Problem]:
        """What a record may have forgotten that names no entity and does not say all itself."""
        if self._by_column.keys() <= record.keys():
            return []
        forgotten = "nothing: the field is missing"
        return [
            Problem(0, key, "a whole number or text, or else every other field", forgotten)
            for key in self._lookup.keys
        ]

    def _keyed(self, record: Record) -> EncodedRow:
        sent = {name: value for name, value in record.items() if name not in self._lookup.keys}
        self._check(record, sent)
        row = self._found(tuple(record[key] for key in self._lookup.keys))
        for column, value in sent.items():
            for encoding, taken in self._by_column[column]:
                for place in taken:
                    row[place] = 0.0
                self._reader.fill(encoding, value, row)
        return row

    def _check(self, record: Record, sent: Record) -> None:
        problems = [
            Problem(0, key, "a whole number or text", _shown(record.get(key, "nothing: the field is missing")))
            for key in self._lookup.keys
            if not isinstance(record.get(key), int | str) or isinstance(record.get(key), bool)
        ]
        problems += [
            Problem(0, name, f"no such field. {nearest(name, sorted(self._by_column))}", _shown(value))
            for name, value in sent.items()
            if name not in self._by_column
        ]
        if problems:
            raise ContractViolation(problems)
        check([sent], self._encoder, [encoding for name in sent for encoding, _ in self._by_column[name]])

    def _found(self, key: tuple[Any, ...]) -> EncodedRow:
        row: list[float | None] = [None] * len(self._places)
        limit = self._now() * 1e6
        for table, excluded in self._lookup.tables.items():
            found, days = self._online(table, key), self._lookup.lookback_days.get(table)
            if found is None or (days is not None and found.as_of < limit - days * DAY):
                return self._of_nobody(table, key)
            for name, value in found.features.items():
                if name in self._places and name not in excluded:
                    row[self._places[name]] = value
        if missing := [name for name, place in self._places.items() if row[place] is None]:
            raise self._refused(key, f"a key with a value for '{missing[0]}' in {', '.join(self._lookup.tables)}")
        return [value for value in row if value is not None]

    def _of_nobody(self, table: str, key: tuple[Any, ...]) -> EncodedRow:
        if self._default is None:
            raise self._refused(key, f"a key of {table}")
        return self._default.copy()

    def _refused(self, key: Iterable[Any], expected: str) -> ContractViolation:
        shown = ", ".join(map(_shown, key))
        return ContractViolation([Problem(0, ", ".join(self._lookup.keys), expected, shown)])


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
