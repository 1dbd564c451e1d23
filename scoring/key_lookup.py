"""Rows of features for records that name an entity: online tables fill in what a record does not send."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any, Literal, Protocol

from scoring.contract import MISSING_FIELD, ContractViolation, Problem, check, format_value, unknown_fields
from scoring.encoder import Encoder
from scoring.encodings import Encoding
from scoring.hooks import Record
from scoring.row_reader import EncodedRow, RowReader

DAY = 86_400_000_000  # microseconds


class OnlineFeatures(Protocol):
    """The newest features of one key; `as_of` is microseconds since 1970."""

    @property
    def as_of(self) -> int: ...

    @property
    def features(self) -> Mapping[str, float | None]: ...


Online = Callable[[str, tuple[Any, ...]], OnlineFeatures | None]  # the row of a table and a key


@dataclass(frozen=True)
class KeyLookup:
    """Online tables of a version, and the policy for unknown entities.

    Attributes:
        keys: the fields of a request that name an entity.
        tables: the online tables, each with the features that the model does not take from it.
        lookback_days: maximum age of a table's row.
        unknown: `refuse` a key that a table does not have, or predict from the `defaults`.
        defaults: raw columns of an unknown entity; columns without a default are null.
    """

    keys: tuple[str, ...]
    tables: Mapping[str, tuple[str, ...]]
    lookback_days: Mapping[str, int] = field(default_factory=dict)
    unknown: Literal["refuse", "defaults"] = "refuse"
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "KeyLookup":
        """Read the fields as JSON stores them."""
        tables = {table: tuple(excluded) for table, excluded in fields["tables"].items()}
        return cls(**{**fields, "keys": tuple(fields["keys"]), "tables": tables})


class KeyedRows:
    """Makes rows of records that name an entity; sent values replace looked-up ones."""

    def __init__(
        self, lookup: KeyLookup, encoder: Encoder, online: Online, now: Callable[[], float] = time.time
    ) -> None:
        """Raises ContractViolation if the defaults break the input contract."""
        self._lookup = lookup
        self._online = online
        self._now = now
        self._encoder = encoder
        self._reader = RowReader(encoder)
        self._indices = {name: index for index, name in enumerate(encoder.features)}
        self._by_column: dict[str, list[tuple[Encoding, list[int]]]] = {}
        for encoding in encoder.encodings:
            self._by_column.setdefault(encoding.column, []).append((encoding, encoder.feature_indices(encoding)))
        blank = {column: lookup.defaults.get(column) for column in self._by_column}
        self._default = self._reader.rows([blank])[0] if lookup.unknown == "defaults" else None

    def rows(self, records: Sequence[Record]) -> list[EncodedRow]:
        """One row for each record; a record without a key must have every field.

        Raises:
            ContractViolation: with every value that is wrong.
        """
        if not any(self._has_key(record) for record in records):
            with suppress(ContractViolation):  # the loop below reports it
                return self._reader.rows(records)
        rows, problems = list[EncodedRow](), list[Problem]()
        for number, record in enumerate(records):
            try:
                rows.append(self._keyed(record) if self._has_key(record) else self._reader.rows([record])[0])
            except ContractViolation as err:
                wrong = err.problems if self._has_key(record) else [*self._missing_keys(record), *err.problems]
                problems += [replace(problem, row=number) for problem in wrong]
        if problems:
            raise ContractViolation(problems)
        return rows

    def _has_key(self, record: Record) -> bool:
        """True if the record names an entity."""
        return any(key in record for key in self._lookup.keys)

    def _missing_keys(self, record: Record) -> list[Problem]:
        """One problem for each key of a record that has neither keys nor every other field."""
        if self._by_column.keys() <= record.keys():
            return []
        expected = "a whole number or text, or else every other field"
        return [Problem(0, key, expected, MISSING_FIELD) for key in self._lookup.keys]

    def _keyed(self, record: Record) -> EncodedRow:
        sent = {name: value for name, value in record.items() if name not in self._lookup.keys}
        self._check(record, sent)
        row = self._stored_row(tuple(record[key] for key in self._lookup.keys))
        for column, value in sent.items():
            for encoding, indices in self._by_column[column]:
                for index in indices:
                    row[index] = 0.0
                self._reader.write(encoding, value, row)
        return row

    def _check(self, record: Record, sent: Record) -> None:
        problems = [
            Problem(0, key, "a whole number or text", format_value(record.get(key, MISSING_FIELD)))
            for key in self._lookup.keys
            if not isinstance(record.get(key), int | str) or isinstance(record.get(key), bool)
        ]
        problems += unknown_fields(sent, self._by_column.keys())
        if problems:
            raise ContractViolation(problems)
        check([sent], self._encoder, [encoding for name in sent for encoding, _ in self._by_column[name]])

    def _stored_row(self, key: tuple[Any, ...]) -> EncodedRow:
        row: list[float | None] = [None] * len(self._indices)
        limit = self._now() * 1e6
        for table, excluded in self._lookup.tables.items():
            stored, days = self._online(table, key), self._lookup.lookback_days.get(table)
            if stored is None or (days is not None and stored.as_of < limit - days * DAY):
                return self._default_row(table, key)
            for name, value in stored.features.items():
                if name in self._indices and name not in excluded:
                    is_kept = value is None and name in self._encoder.nullable_features
                    row[self._indices[name]] = nan if is_kept else value
        if missing := [name for name, index in self._indices.items() if row[index] is None]:
            raise self._refused(key, f"a key with a value for '{missing[0]}' in {', '.join(self._lookup.tables)}")
        return [value for value in row if value is not None]

    def _default_row(self, table: str, key: tuple[Any, ...]) -> EncodedRow:
        if self._default is None:
            raise self._refused(key, f"a key of {table}")
        return self._default.copy()

    def _refused(self, key: Iterable[Any], expected: str) -> ContractViolation:
        got = ", ".join(map(format_value, key))
        return ContractViolation([Problem(0, ", ".join(self._lookup.keys), expected, got)])
