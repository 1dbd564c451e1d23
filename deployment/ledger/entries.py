"""The append-only record of what went to production: entries in a chain of hashes, one chain for each use case.

An entry holds the hash of the entry before it. Changing, removing or inserting one means rewriting all that follow.
The registry keeps the hash of the newest entry (`champion_change`), so that the end cannot be cut off either. Whoever
may write to both can write another history; a copy of the hashes elsewhere, in a log or a mail, reveals that too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import click

from lakehouse.errors import LakehouseError

Action = Literal["promoted", "refused", "rolled_back", "approved", "frozen", "unfrozen", "repaired", "ledger_reset"]
MOVES: frozenset[str] = frozenset({"promoted", "rolled_back", "repaired", "ledger_reset"})  # may change the champion
ALWAYS = ("number", "at", "actor", "action", "use_case", "verdict", "reason", "commit", "previous", "digest")
LONGEST_REASON = 300  # characters; a registry's tag, which holds an entry for a moment, has no room for more


class LedgerBroken(LakehouseError):
    """The ledger is not what was written."""

    @classmethod
    def at(cls, use_case: str, problem: str) -> "LedgerBroken":
        return cls(
            f"the ledger of {use_case} is not what was written: {problem}",
            hint="Nothing is changed while that is so. Put the table deployment.ledger back from a backup, then look:"
            f" python -m deployment.run verify --use-case {use_case}",
        )

    @classmethod
    def unreadable(cls, use_case: str, reason: Exception) -> "LedgerBroken":
        return cls.at(use_case, f"its table cannot be read: {_in_a_line(reason)}")


@dataclass(frozen=True)
class Entry:
    """One decision.

    Attributes:
        number: its place in the chain of its use case, from 1.
        at: when, UTC; never before the entry before it, whatever the clock said.
        actor: who ran the command.
        action: `repaired` where the alias had moved and no command of ours said so, `ledger_reset` where
            the registered model is another than that of the entries before.
        use_case: of which model.
        version: whom it is about; None where it is about none.
        from_version: the champion before, None where there was none.
        to_version: the champion after.
        verdict: SHA-256 of the decision; empty where there was none.
        reason: why, in a sentence.
        commit: of the project, empty where it is no git checkout.
        previous: the hash of the entry before, empty for the first.
    """

    number: int
    at: datetime
    actor: str
    action: Action
    use_case: str
    version: int | None
    from_version: int | None
    to_version: int | None
    verdict: str
    reason: str
    commit: str
    previous: str

    @property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def moved(self) -> bool:
        """Whether the champion changed."""
        return self.action in MOVES and self.from_version != self.to_version

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"at": self.at.astimezone(UTC).isoformat()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Entry":
        told = json.loads(text)
        return cls(**told | {"at": datetime.fromisoformat(told["at"])})


class LedgerHome(Protocol):
    """Where the entries are: one boundary, one file per home."""

    def require_writable(self) -> None:
        """Make sure, before anything is decided, that an entry can be written.

        Raises:
            LakehouseError: it cannot.
        """
        ...

    def claim(self, use_case: str) -> AbstractContextManager[None]:
        """The right to change the champion of a use case, which one process has at a time.

        Raises:
            PromotionBusy: another one has it.
        """
        ...

    def rows(self, use_case: str) -> list[dict[str, Any]]:
        """Every row of the use case in order of its number; none where nobody wrote yet."""
        ...

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row, whole or not at all.

        Raises:
            LakehouseError: it was not added.
        """
        ...


class EntryUnwritten(LakehouseError):
    """The ledger could not be added to."""

    @classmethod
    def of(cls, use_case: str, reason: Exception) -> "EntryUnwritten":
        return cls(
            f"no entry could be added to the ledger of {use_case}: {_in_a_line(reason)}",
            hint="Free space or correct the permissions of the table deployment.ledger, then run the command again.",
        )


class PromotionBusy(LakehouseError):
    """Another command is at work on the champion."""

    @classmethod
    def by(cls, who: str) -> "PromotionBusy":
        return cls(
            f"another command is changing this champion: {who}",
            hint="Nothing was changed by this one. Wait until the other has ended, then run it again.",
        )


@dataclass(frozen=True)
class Ledger:
    """The ledger in its home."""

    home: LedgerHome

    def entries(self, use_case: str) -> list[Entry]:
        """The chain of one use case, oldest first.

        Raises:
            LedgerBroken: an entry is not what was written, or does not follow the one before.
        """
        entries: list[Entry] = []
        for row in self.home.rows(use_case):
            if missing := [name for name in ALWAYS if row[name] is None]:
                raise LedgerBroken.at(use_case, f"entry {row['number']} has no {', '.join(missing)}")
            said = row.pop("digest")
            entry = Entry(**row | {"at": row["at"].astimezone(UTC)})
            _require_linked(entry, entries, said)
            entries.append(entry)
        return entries

    def append(self, entry: Entry) -> None:
        """Add one entry to the end.

        Raises:
            LedgerBroken: it does not follow the last one.
        """
        _require_linked(entry, self.entries(entry.use_case), entry.digest)
        self.home.add(asdict(entry) | {"digest": entry.digest})


def following(entries: Sequence[Entry], entry: Entry) -> Entry:
    """The entry as the next of the chain: its number, the hash before it, and a time that does not go back."""
    if not entries:
        return replace(entry, number=1, previous="")
    last = entries[-1]
    return replace(entry, number=last.number + 1, previous=last.digest, at=max(entry.at, last.at))


def _require_linked(entry: Entry, before: Sequence[Entry], said: str) -> None:
    if said != entry.digest:
        problem = f"entry {entry.number} hashes to {entry.digest[:12]}, and {said[:12]} was written with it"
        raise LedgerBroken.at(entry.use_case, problem)
    expected = (before[-1].number + 1, before[-1].digest) if before else (1, "")
    if (entry.number, entry.previous) != expected:
        problem = (
            f"entry {entry.number} follows {entry.previous[:12] or 'nothing'},"
            f" and entry {expected[0] - 1} is {expected[1][:12] or 'none'}"
        )
        raise LedgerBroken.at(entry.use_case, problem)


def _in_a_line(reason: Exception) -> str:
    """What a reader or writer of Delta says, without its colours and its own stack."""
    text = click.unstyle(str(reason)).partition("\n   0: ")[0]
    return " ".join(text.split())
