"""The append-only record of changes in production: a chain of hashed entries for each use case.

An entry holds the hash of the entry before it. Changing, removing or inserting one means rewriting all that follow.
The registry keeps the hash of the newest entry (`champion_change`), so truncation shows as well. A user who may
write to both can forge a whole history; a copy of the hashes in a log or a mail reveals that too.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

from deployment.ledger.storage import LedgerStorage, one_line
from lakehouse.errors import LakehouseError

Action = Literal[
    "promoted",
    "refused",
    "rolled_back",
    "approved",
    "frozen",
    "unfrozen",
    "repaired",
    "ledger_reset",
    "registry_restored",
    "rollout_started",
    "rollout_intended",
    "rollout_done",
    "rollout_extended",
    "rollout_paused",
    "rollout_decided",
    "rollout_failed",
    "rollout_ended",
]
# Actions that may change the champion.
CHAMPION_ACTIONS: frozenset[str] = frozenset(
    {"promoted", "rolled_back", "repaired", "ledger_reset", "registry_restored"}
)
REQUIRED_COLUMNS = (
    "number",
    "at",
    "actor",
    "action",
    "use_case",
    "verdict",
    "reason",
    "commit",
    "previous",
    "digest",
)
# Fields that earlier releases did not have. An entry without them has the hash that those releases gave it.
ADDED_LATER = ("criteria", "dirty", "resumes", "rollout")
MAX_REASON_LENGTH = 300  # characters; the registry tag that holds a pending entry has no room for more


class LedgerBroken(LakehouseError):
    """The ledger is damaged or was changed by hand."""

    @classmethod
    def at(cls, use_case: str, problem: str) -> "LedgerBroken":
        return cls(
            f"the ledger of {use_case} is damaged: {problem}",
            hint="No command changes anything until then. Restore deployment.ledger (a table, or an experiment of a"
            f" shared MLflow server) from a backup, then run: python -m deployment.run verify --use-case {use_case}",
        )

    @classmethod
    def unreadable(cls, use_case: str, reason: Exception) -> "LedgerBroken":
        return cls.at(use_case, f"it cannot be read: {one_line(reason)}")


@dataclass(frozen=True)
class Entry:
    """One entry of the ledger.

    Attributes:
        number: position in the chain of its use case, from 1.
        at: time in UTC; never earlier than the previous entry, even if the clock went back.
        actor: user who ran the command.
        action: `repaired` if the alias moved without a command of this project; `ledger_reset` if the registered
            model is not the one of the earlier entries; `registry_restored` if the registry came from an older copy.
        use_case: use case, also the name of its model.
        version: version that the entry concerns; None if it concerns none.
        from_version: champion before the entry; None if there was none.
        to_version: champion after the entry; None if there is none.
        verdict: SHA-256 of the decision; empty if there was none.
        reason: reason, in a sentence.
        commit: git commit of the project; empty outside a git checkout.
        previous: hash of the previous entry; empty for the first.
        criteria: SHA-256 of the promotion criteria that a verdict applied; empty without a verdict.
        dirty: True if code or use cases differed from the commit.
        resumes: last entry that still holds after the registry was restored from an older copy.
        rollout: state of the rollout after the entry, as JSON; empty for entries about anything else.
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
    criteria: str = ""
    dirty: bool = False
    resumes: int | None = None
    rollout: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over every field that is set."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def changes_champion(self) -> bool:
        """True if the champion is another one after the entry."""
        return self.action in CHAMPION_ACTIONS and self.from_version != self.to_version

    def to_json(self) -> str:
        fields = asdict(self) | {"at": self.at.astimezone(UTC).isoformat()}
        unset = [name for name in ADDED_LATER if fields[name] == getattr(Entry, name)]
        return json.dumps({name: value for name, value in fields.items() if name not in unset}, sort_keys=True)

    def to_tag(self) -> str:
        """JSON in the fewest characters: a tag in Unity Catalog holds 1000."""
        return json.dumps(json.loads(self.to_json()), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Entry":
        fields = json.loads(text)
        return cls(**fields | {"at": datetime.fromisoformat(fields["at"])})


@dataclass(frozen=True)
class Ledger:
    """Ledger of every use case, stored in one home."""

    storage: LedgerStorage

    def entries(self, use_case: str) -> list[Entry]:
        """Chain of one use case, oldest entry first.

        Raises:
            LedgerBroken: An entry does not match its hash, does not follow the previous one, or is unknown.
        """
        entries: list[Entry] = []
        for row in self.storage.rows(use_case):
            if missing := [name for name in REQUIRED_COLUMNS if row[name] is None]:
                raise LedgerBroken.at(use_case, f"entry {row['number']} has no {', '.join(missing)}")
            recorded_digest = row.pop("digest")
            known = {name: value for name, value in row.items() if name not in ADDED_LATER or value is not None}
            entry = Entry(**known | {"at": row["at"].astimezone(UTC)})
            _require_linked(entry, entries, recorded_digest)
            if entry.action not in get_args(Action):
                raise LedgerBroken.at(use_case, f"entry {entry.number} has the unknown action '{entry.action}'")
            entries.append(entry)
        return entries

    def append(self, entry: Entry) -> None:
        """Append one entry.

        Raises:
            LedgerBroken: The entry does not follow the last one.
        """
        _require_linked(entry, self.entries(entry.use_case), entry.digest)
        self.storage.add(asdict(entry) | {"digest": entry.digest})


def chained(entries: Sequence[Entry], entry: Entry) -> Entry:
    """Set the entry's number, previous hash and a time not before the last entry, so that it continues the chain."""
    if not entries:
        return replace(entry, number=1, previous="")
    last = entries[-1]
    return replace(entry, number=last.number + 1, previous=last.digest, at=max(entry.at, last.at))


def _require_linked(entry: Entry, earlier: Sequence[Entry], recorded_digest: str) -> None:
    if recorded_digest != entry.digest:
        problem = (
            f"entry {entry.number} hashes to {entry.digest[:12]}, but {recorded_digest[:12]} is recorded with it"
        )
        raise LedgerBroken.at(entry.use_case, problem)
    expected = (earlier[-1].number + 1, earlier[-1].digest) if earlier else (1, "")
    if (entry.number, entry.previous) != expected:
        problem = (
            f"entry {entry.number} follows {entry.previous[:12] or 'no entry'},"
            f" but entry {expected[0] - 1} has hash {expected[1][:12] or 'none'}"
        )
        raise LedgerBroken.at(entry.use_case, problem)
