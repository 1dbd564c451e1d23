"""Online tables: the newest row of each key, read by key in microseconds.

One LMDB file for all tables. A publication is one transaction: readers in any process see the rows of before until it
is committed, and all of the new ones from then on; what was cut off leaves no trace. LMDB, because it measured best
(benchmarks/README.md).
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from struct import Struct
from typing import Any, Self

import lmdb
import numpy as np
import numpy.typing as npt

from lakehouse.errors import LakehouseError

_ABOUT = b"\0published\0"  # before the names of tables: what each holds
_ROOM = 2**38  # of addresses, not of disk: the file grows as it is filled
_AS_OF = Struct("<q")

EntityKey = tuple[Any, ...]
StoredRow = npt.NDArray[np.float64]


class OnlineTableRefused(LakehouseError):
    """An online table cannot be written or read."""

    @classmethod
    def not_published(cls, name: str) -> "OnlineTableRefused":
        return cls(f"{name} has no online table", hint=f"Publish it: python -m training.publish --online {name}")

    @classmethod
    def long_key(cls, name: str, key: EntityKey, room: int) -> "OnlineTableRefused":
        return cls(f"the key {key} of {name} takes more than {room} bytes", hint="Use a shorter entity key.")


@dataclass(frozen=True)
class PublishedTable:
    """What an online table holds.

    Attributes:
        version: the Delta version of the feature table that it was published from.
        features: in the order in which they are stored.
        rows: keys in the table; None where the platform does not say.
        published_at: ISO 8601, UTC.
        table_id: the feature table's own; one that was deleted and built again has another, and counts anew.
    """

    version: int
    features: tuple[str, ...]
    rows: int | None
    published_at: str
    table_id: str = ""


@dataclass(frozen=True)
class OnlineRow:
    """The newest features of one key.

    Attributes:
        as_of: microseconds since 1970 from which on they were true.
        features: by name; None where missing.
    """

    as_of: int
    features: Mapping[str, float | None]


class OnlineStore:
    """The online tables below one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = lmdb.open(str(folder), map_size=_ROOM)

    def close(self) -> None:
        self._environment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def published(self, name: str) -> PublishedTable | None:
        """What the online table of a feature table holds; None if there is none."""
        with self._environment.begin() as transaction:
            return _about(transaction, name)

    def row(self, name: str, key: EntityKey) -> OnlineRow | None:
        """The newest row of a key; None if the table has no such key.

        Raises:
            OnlineTableRefused: the table was never published.
        """
        with self._environment.begin() as transaction:
            about = _about(transaction, name)
            if about is None:
                raise OnlineTableRefused.not_published(name)
            stored = transaction.get(_place(name, key))
            return _unpacked(stored, about.features) if stored else None

    @contextmanager
    def publication(
        self, name: str, features: Sequence[str], version: int, *, rebuild: bool, table_id: str = ""
    ) -> Iterator["Publication"]:
        """A transaction that brings a table to a version; nothing of it is seen if it fails.

        Args:
            name: the feature table.
            features: the features in the order in which rows bring them.
            version: its Delta version.
            rebuild: whether the rows are all that there will be, and not those that came since the last publication.
            table_id: the feature table's own.
        """
        with self._environment.begin(write=True) as transaction:
            before = _about(transaction, name)
            if rebuild:
                _empty(transaction, name)
            publication = Publication(transaction, name, self._environment.max_key_size())
            yield publication
            rows = publication.added + ((before.rows or 0) if before and not rebuild else 0)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            about = PublishedTable(version, tuple(features), rows, now, table_id)
            transaction.put(_ABOUT + name.encode(), json.dumps(asdict(about)).encode())


@dataclass
class Publication:
    """Rows on their way into one table.

    Attributes:
        added: keys that the table did not have.
    """

    transaction: Any
    name: str
    room: int
    added: int = 0

    def put(self, rows: Iterable[tuple[EntityKey, int, StoredRow]]) -> None:
        """Store the rows (key, as_of, features with NaN where missing), except where a newer one is there.

        Raises:
            OnlineTableRefused: a key takes more bytes than there is room for.
        """
        for key, as_of, features in rows:
            place = _place(self.name, key)
            if len(place) > self.room:
                raise OnlineTableRefused.long_key(self.name, key, self.room)
            there = self.transaction.get(place)
            if there is None or _AS_OF.unpack_from(there)[0] <= as_of:
                self.transaction.put(place, _AS_OF.pack(as_of) + features.tobytes())
                self.added += there is None


def _unpacked(stored: bytes, names: Sequence[str]) -> OnlineRow:
    values = array("d", stored[_AS_OF.size :])
    known = (None if isnan(value) else value for value in values)
    return OnlineRow(_AS_OF.unpack_from(stored)[0], dict(zip(names, known, strict=True)))


def _place(name: str, key: EntityKey) -> bytes:
    return name.encode() + b"\0" + json.dumps(key, default=str, separators=(",", ":")).encode()


def _empty(transaction: Any, name: str) -> None:
    prefix = name.encode() + b"\0"
    with transaction.cursor() as cursor:
        found = cursor.set_range(prefix)
        while found and cursor.key().startswith(prefix):
            found = cursor.delete()


def _about(transaction: Any, name: str) -> PublishedTable | None:
    stored = transaction.get(_ABOUT + name.encode())
    about = json.loads(stored) if stored else None
    return PublishedTable(**about | {"features": tuple(about["features"])}) if about else None
