"""Online tables: the newest row of each key, read by key in microseconds.

All tables are in one LMDB file. A publication is one transaction: readers in any process see all of the old rows
before its commit and all of the new rows after it. An interrupted publication changes nothing. LMDB was the fastest
of the measured stores (benchmarks/README.md).
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from struct import Struct
from typing import Any, Literal, Self

import lmdb
import numpy as np
import numpy.typing as npt

from lakehouse.errors import LakehouseError

_PUBLISHED = b"\0published\0"  # prefix of table names in the keys of `PublishedTable` records
_MAP_BYTES = 2**38  # of address space, not of disk: the file grows as it is filled
_AS_OF = Struct("<q")

EntityKey = tuple[Any, ...]
KeyKind = Literal["integer", "text"]  # the type of a key in a request; a time is text
StoredRow = npt.NDArray[np.float64]


class OnlineTableRefused(LakehouseError):
    """An online table cannot be written or read."""

    @classmethod
    def not_published(cls, name: str) -> "OnlineTableRefused":
        return cls(f"{name} has no online table", hint=f"Publish it: python -m training.publish --online {name}")

    @classmethod
    def long_key(cls, name: str, key: EntityKey, limit: int) -> "OnlineTableRefused":
        return cls(f"the key {key} of {name} takes more than {limit} bytes", hint="Use a shorter entity key.")

    @classmethod
    def key_type(cls, name: str, key: str, data_type: str) -> "OnlineTableRefused":
        return cls(
            f"{name} has the key '{key}' of type {data_type}, by which no request can name an entity",
            hint="Cast it to an integer or to text in the model, and run: dbt build",
        )


class TextsNotPublished(OnlineTableRefused):
    """A feature table has texts, and an online table holds numbers."""

    @classmethod
    def of(cls, name: str, columns: Sequence[str]) -> "TextsNotPublished":
        return cls(
            f"{name} is not published: an online table holds numbers, and there are texts in {', '.join(columns)}",
            hint="Send the texts in the requests, and publish the other tables: python -m training.publish --online",
        )


class EntityRefused(LakehouseError):
    """A value cannot be a key of an online table.

    Attributes:
        field: the key.
        expected: description of its values.
        got: the value.
    """

    def __init__(self, name: str, field: str, kind: KeyKind, got: object) -> None:
        self.field, self.got = field, got
        self.expected = f"{'an integer' if kind == 'integer' else 'text'}, as the key of {name}"
        super().__init__(f"{field}: expected {self.expected}, got {got!r}")


@dataclass(frozen=True)
class Source:
    """A feature table that is published: its id, and the kind of each key in the order of the entities."""

    table_id: str
    keys: Mapping[str, KeyKind]


@dataclass(frozen=True)
class PublishedTable:
    """State of an online table.

    Attributes:
        version: Delta version of the feature table that was published.
        features: feature names, in storage order.
        rows: number of keys in the table; None if the platform does not report it.
        published_at: ISO 8601, UTC.
        table_id: id of the feature table; a table that was deleted and built again has another, and new versions.
        keys: kind of each key of the feature table, in storage order; empty if an earlier release published it.
    """

    version: int
    features: tuple[str, ...]
    rows: int | None
    published_at: str
    table_id: str = ""
    keys: Mapping[str, KeyKind] = field(default_factory=dict)


@dataclass(frozen=True)
class OnlineRow:
    """The newest features of one key.

    Attributes:
        as_of: microseconds since 1970 from which the features were true.
        features: values by name; None if missing.
    """

    as_of: int
    features: Mapping[str, float | None]


class OnlineStore:
    """The online tables in one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = lmdb.open(str(folder), map_size=_MAP_BYTES)

    def close(self) -> None:
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def published(self, name: str) -> PublishedTable | None:
        """State of the online table of a feature table; None if it was never published."""
        with self._environment.begin() as transaction:
            return _published(transaction, name)

    def row(self, name: str, key: EntityKey) -> OnlineRow | None:
        """The newest row of a key in storage order; None if the table lacks the key.

        Raises:
            OnlineTableRefused: the table was never published.
        """
        with self._environment.begin() as transaction:
            return _row(transaction, name, _required(transaction, name), key)

    def row_of(self, name: str, entity: Mapping[str, Any]) -> OnlineRow | None:
        """The newest row of an entity, whose keys may be more than those of the table, in any order.

        Raises:
            OnlineTableRefused: the table was never published.
            EntityRefused: a key has another type than in the table; it would match no row.
        """
        with self._environment.begin() as transaction:
            table = _required(transaction, name)
            for field_name, kind in table.keys.items():
                if not isinstance(entity[field_name], int if kind == "integer" else str):
                    raise EntityRefused(name, field_name, kind, entity[field_name])
            key = tuple(map(entity.__getitem__, table.keys or entity))
            return _row(transaction, name, table, key)

    @contextmanager
    def publication(
        self,
        name: str,
        features: Sequence[str],
        version: int,
        *,
        rebuild: bool,
        source: "Source | None" = None,
    ) -> Iterator["Publication"]:
        """Open a transaction that updates a table to a version; on failure nothing changes.

        Args:
            name: the feature table.
            features: features in the order of the row values.
            version: Delta version of the feature table.
            rebuild: True if the rows are the entire table; False if they were added since the last publication.
            source: id and keys of the feature table.
        """
        with self._environment.begin(write=True) as transaction:
            before = _published(transaction, name)
            if rebuild:
                _empty(transaction, name)
            publication = Publication(transaction, name, self._environment.max_key_size())
            yield publication
            rows = publication.added + ((before.rows or 0) if before and not rebuild else 0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            table_id, keys = (source.table_id, dict(source.keys)) if source else ("", {})
            table = PublishedTable(version, tuple(features), rows, now, table_id, keys)
            transaction.put(_PUBLISHED + name.encode(), json.dumps(asdict(table)).encode())


@dataclass
class Publication:
    """An open publication of one table.

    Attributes:
        max_key_bytes: longest key that the store accepts.
        added: number of new keys.
    """

    transaction: Any
    name: str
    max_key_bytes: int
    added: int = 0

    def put(self, rows: Iterable[tuple[EntityKey, int, StoredRow]]) -> None:
        """Store rows (key, as_of, features with NaN where missing), unless the store has a newer row of the key.

        Raises:
            OnlineTableRefused: a key is longer than `max_key_bytes`.
        """
        for key, as_of, features in rows:
            storage_key = _storage_key(self.name, key)
            if len(storage_key) > self.max_key_bytes:
                raise OnlineTableRefused.long_key(self.name, key, self.max_key_bytes)
            stored = self.transaction.get(storage_key)
            if stored is None or _AS_OF.unpack_from(stored)[0] <= as_of:
                self.transaction.put(storage_key, _AS_OF.pack(as_of) + features.tobytes())
                self.added += stored is None


def _required(transaction: Any, name: str) -> PublishedTable:
    table = _published(transaction, name)
    if table is None:
        raise OnlineTableRefused.not_published(name)
    return table


def _row(transaction: Any, name: str, table: PublishedTable, key: EntityKey) -> OnlineRow | None:
    stored = transaction.get(_storage_key(name, key))
    return _unpacked(stored, table.features) if stored else None


def _unpacked(stored: bytes, names: Sequence[str]) -> OnlineRow:
    values = array("d", stored[_AS_OF.size :])
    features = (None if isnan(value) else value for value in values)
    return OnlineRow(_AS_OF.unpack_from(stored)[0], dict(zip(names, features, strict=True)))


def _storage_key(name: str, key: EntityKey) -> bytes:
    return name.encode() + b"\0" + json.dumps(key, default=str, separators=(",", ":")).encode()


def _empty(transaction: Any, name: str) -> None:
    prefix = name.encode() + b"\0"
    with transaction.cursor() as cursor:
        has_entry = cursor.set_range(prefix)
        while has_entry and cursor.key().startswith(prefix):
            has_entry = cursor.delete()


def _published(transaction: Any, name: str) -> PublishedTable | None:
    stored = transaction.get(_PUBLISHED + name.encode())
    record = json.loads(stored) if stored else None
    return PublishedTable(**record | {"features": tuple(record["features"])}) if record else None
