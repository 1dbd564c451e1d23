"""Atomic change of the champion, also if the command is interrupted.

The alias `champion` is authoritative, and one write moves it. Before that write the pending entry goes into a tag of
the registered model (`ledger_pending`). After it the entry goes to the ledger and its hash to the tag `ledger_head`;
the other tags and aliases follow. `repair` continues from every state that an interrupted command can leave.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from deployment.ledger import aliases
from deployment.ledger.change_errors import ChampionChanged, ChampionDeleted, ChangeIncomplete
from deployment.ledger.entries import Entry, Ledger, LedgerBroken, chained
from deployment.ledger.history import History
from deployment.ledger.mismatch import HEAD, LedgerElsewhere, LedgerMismatch, RegistryRestored, ResetRefused
from deployment.ledger.storage import PromotionBusy
from lakehouse.errors import LakehouseError
from training.registry.versions import CHAMPION, model_of, version_of

PENDING, LOCATION = "ledger_pending", "ledger_location"
__all__ = ["HEAD", "LOCATION", "PENDING", "ChampionChange"]


@dataclass(frozen=True)
class ChampionChange:
    """Changes the champion of one model, in the registry and in the ledger."""

    name: str
    client: MlflowClient
    ledger: Ledger

    def history(self) -> History:
        """Read and verify the ledger.

        Raises:
            LedgerBroken: An entry was changed, or the last hash differs from the one in the registry.
        """
        history = History(self.ledger.entries(self.name))
        self._require_matching_head(history)
        return history

    def champion(self) -> int | None:
        """Version with the alias champion."""
        version = version_of(self.client, self.name, CHAMPION)
        return None if version is None else int(version.version)

    def record(self, entry: Entry) -> None:
        """Write an entry and its hash; the champion stays."""
        self.ledger.append(entry)
        self._set_head()

    def move(self, entry: Entry) -> None:
        """Move the alias champion as the entry says, record the entry and update the other aliases and tags.

        Raises:
            ChampionChanged: The champion is no longer the entry's `from_version`; nothing was changed.
            PromotionBusy: Another command writes to the ledger; the alias follows that command, or is moved back.
            ChangeIncomplete: The alias moved; `repair` has to do the rest.
        """
        if (current := self.champion()) != entry.from_version:
            raise ChampionChanged.of(self.name, entry.from_version, current)
        self.client.set_registered_model_tag(self.name, PENDING, entry.to_tag())
        self.client.set_registered_model_alias(self.name, CHAMPION, str(entry.to_version))
        try:
            self._record_or_yield(entry)
            self.client.delete_registered_model_tag(self.name, PENDING)
            history = History(self.ledger.entries(self.name))
            if history.head == entry.digest and self.champion() != entry.to_version:
                self._set_champion(entry.to_version)  # another machine moved it, and did not get into the ledger
            self.synchronize(history)
        except PromotionBusy:
            raise
        except (MlflowException, RequestException, LakehouseError, OSError) as err:
            raise ChangeIncomplete.of(entry, err) from err

    def repair(self, entry: Callable[[History, int | None, str], Entry]) -> None:
        """Complete an interrupted command, and record an alias that moved without a command.

        Args:
            entry: creates the entry of a repair from the history, the current champion and the reason.

        Raises:
            LedgerBroken: The ledger is damaged.
            ChampionDeleted: The champion was deleted, and an earlier champion still exists.
        """
        history, tags = self.history(), self._tags()
        if PENDING in tags:
            self._finish(self._pending(tags[PENDING]), history)
            history = History(self.ledger.entries(self.name))
        if history.head != tags.get(HEAD, "") and history.head != self._tags().get(HEAD, ""):
            self._set_head()
        if PENDING in tags:
            self.client.delete_registered_model_tag(self.name, PENDING)
        if history.champion is not None and self.champion() is None:
            self._restore_deleted(history.champion, history, entry)
        elif self.champion() != history.champion:
            reason = "the alias champion was moved outside of this project"
            self.record(entry(history, self.champion(), reason))
        self.synchronize(History(self.ledger.entries(self.name)))

    def require_mismatch(self) -> History:
        """Return the history if ledger and registered model do not belong together.

        Raises:
            LedgerBroken: The ledger is damaged.
            ResetRefused: Ledger and model belong together.
        """
        history = History(self.ledger.entries(self.name))
        try:
            self._require_matching_head(history)
        except LedgerBroken as err:
            interrupted_reset = bool(history.entries) and history.entries[-1].action == "ledger_reset"
            if interrupted_reset or isinstance(err, LedgerMismatch):
                return history
            raise
        raise ResetRefused.of(self.name)

    def known_entries(self, history: History) -> int | None:
        """Number of the last entry that a restored registry knows; None if it knows all, or none."""
        known = history.number_of(self._tags().get(HEAD, ""))
        return None if known == len(history.entries) else known

    def move_without_ledger(self, entry: Entry) -> None:
        """Move the alias champion where the ledger cannot be read; the next command that can read it records it."""
        pending = replace(entry, number=0, previous=self._tags().get(HEAD, ""))
        self.client.set_registered_model_tag(self.name, PENDING, pending.to_tag())
        self.client.set_registered_model_alias(self.name, CHAMPION, str(entry.to_version))

    def synchronize(self, history: History) -> None:
        """Set tags and the other aliases to match the champion."""
        earlier = [each for each in history.rollback_stack[:-1] if aliases.exists(self.client, self.name, each)]
        aliases.synchronize(self.client, self.name, earlier[-1] if earlier else None, history.all_champions)

    def _record_or_yield(self, entry: Entry) -> None:
        try:
            self.record(entry)
        except (LedgerBroken, PromotionBusy) as err:
            history = History(self.ledger.entries(self.name))
            if history.conflicts_with(entry):
                self._finish(entry, history)
                raise PromotionBusy.by("it wrote the same ledger entry") from err
            if isinstance(err, PromotionBusy):
                self._undo(entry)
            raise

    def _undo(self, entry: Entry) -> None:
        """Move the alias back after another command kept this entry out of the ledger."""
        if self.champion() == entry.to_version:
            self._set_champion(entry.from_version)
        if self._tags().get(PENDING) == entry.to_tag():
            self.client.delete_registered_model_tag(self.name, PENDING)

    def _set_champion(self, version: int | None) -> None:
        if version is None:
            self.client.delete_registered_model_alias(self.name, CHAMPION)
        else:
            self.client.set_registered_model_alias(self.name, CHAMPION, str(version))

    def _finish(self, pending: Entry, history: History) -> None:
        """Record a change whose alias has moved. If another command recorded first, set the alias to its champion."""
        if self.champion() != pending.to_version:
            return
        if history.conflicts_with(pending) and history.champion is not None:
            self.client.set_registered_model_alias(self.name, CHAMPION, str(history.champion))
        elif pending.previous == history.head:
            self.ledger.append(chained(history.entries, pending))

    def _restore_deleted(
        self, deleted: int, history: History, entry: Callable[[History, int | None, str], Entry]
    ) -> None:
        if aliases.exists(self.client, self.name, deleted):
            self.client.set_registered_model_alias(self.name, CHAMPION, str(deleted))
            return
        existing = [each for each in history.all_champions if aliases.exists(self.client, self.name, each)]
        if existing:
            raise ChampionDeleted.of(self.name, deleted, existing[0])
        self.record(entry(history, None, f"version {deleted} and every earlier champion were deleted"))

    def _set_head(self) -> None:
        """Record the end of the chain as it is now: another machine may have continued it meanwhile."""
        entries = self.ledger.entries(self.name)
        self.client.set_registered_model_tag(self.name, HEAD, entries[-1].digest)
        location = f"{self.ledger.storage.location} ({_begin(entries[0])})"
        if self._tags().get(LOCATION) != location:
            self.client.set_registered_model_tag(self.name, LOCATION, location)

    def _require_matching_head(self, history: History) -> None:
        tags = self._tags()
        recorded, last = tags.get(HEAD, ""), history.entries[-1] if history.entries else None
        # An interrupted command may have written its entry but not yet the hash. A promotion or rollback keeps
        # `ledger_pending` until both are written: without that tag, the model was deleted and created again.
        interrupted = last is not None and (last.action not in {"promoted", "rolled_back"} or PENDING in tags)
        if recorded not in {history.head, last.previous if last is not None and interrupted else history.head}:
            if not recorded:
                raise LedgerMismatch.of_model(self.name, history.head)
            if (known := history.number_of(recorded)) is not None:
                raise RegistryRestored.of(self.name, known, len(history.entries))
            elsewhere, location = tags.get(LOCATION, ""), self.ledger.storage.location
            # A chain with the same first entry is the recorded one, perhaps moved, and has lost its end.
            other = (
                not elsewhere.startswith(location) if last is None else _begin(history.entries[0]) not in elsewhere
            )
            if other and (elsewhere or last is None):
                raise LedgerElsewhere.of(self.name, elsewhere, location, history, recorded)
            if last is None:
                raise LedgerMismatch.of_ledger(self.name, recorded)
            problem = (
                f"it ends with {history.head[:12] or 'no entry'}, but the registry records"
                f" {recorded[:12] or 'no entry'} as its end (tag {HEAD})"
            )
            raise LedgerBroken.at(self.name, problem)

    def _pending(self, text: str) -> Entry:
        try:
            return Entry.from_json(text)
        except (ValueError, TypeError, KeyError) as err:
            problem = f"the tag {PENDING} of the registered model is not a valid entry; delete the tag"
            raise LedgerBroken.at(self.name, problem) from err

    def _tags(self) -> dict[str, str]:
        model = model_of(self.client, self.name)
        return {} if model is None else dict(model.tags)


def _begin(first: Entry) -> str:
    return f"begins with {first.digest[:12]}"
