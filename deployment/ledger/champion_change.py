"""One change of the champion, whole or not at all, however the command ends.

The alias `champion` is the truth, and one write moves it. Before it the entry to come is put down beside the model
(the tag `ledger_pending`); after it the entry goes to the ledger, its hash to the model (`ledger_head`), and tags and
aliases follow. A command that is cut off in between leaves one of these states, and `repair` goes on from each.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from deployment.ledger import aliases
from deployment.ledger.entries import Entry, Ledger, LedgerBroken, PromotionBusy
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError
from training.registry.versions import CHAMPION, model_of, version_of

PENDING, HEAD = "ledger_pending", "ledger_head"


class ChampionMoved(LakehouseError):
    """The champion is another than when the command looked."""

    @classmethod
    def of(cls, name: str, expected: int | None, found: int | None) -> "ChampionMoved":
        return cls(
            f"the champion of {name} changed meanwhile from {_named(expected)} to {_named(found)}",
            hint="Nothing was changed by this command. Run it again, and it compares with the new one.",
        )


class ChampionLost(LakehouseError):
    """The registry has no champion any more, and the ledger has."""

    @classmethod
    def of(cls, name: str, lost: int, former: int) -> "ChampionLost":
        return cls(
            f"version {lost} of {name} is the champion by the ledger, and was deleted from the registry",
            hint=f"Go back to an earlier one: python -m deployment.run rollback --use-case {name} --to {former}"
            ' --reason "..."',
        )


class LedgerMismatch(LedgerBroken):
    """The registered model and its ledger know nothing of each other."""

    @classmethod
    def of_model(cls, name: str, head: str) -> "LedgerMismatch":
        return cls(
            f"the ledger of {name} ends with {head[:12]}, and the registry knows nothing of it (no tag {HEAD})",
            hint="Nothing is changed while that is so. If the model was deleted and trained anew, say so, and what"
            f" was recorded of the old one counts no more:\n  {_reset_command(name)}\n"
            "  If not, the tag was deleted: put it back, with the hash that ends the ledger.",
        )

    @classmethod
    def of_ledger(cls, name: str, head: str) -> "LedgerMismatch":
        return cls(
            f"the ledger of {name} is lost: it ends with nothing, and the registry knows {head[:12]} (tag {HEAD})",
            hint="Nothing is changed while that is so. Put the table deployment.ledger back from a backup. If there"
            f" is none, say so, and another begins:\n  {_reset_command(name)}",
        )


class ResetRefused(LakehouseError):
    """Ledger and registered model belong together."""

    @classmethod
    def of(cls, name: str) -> "ResetRefused":
        return cls(
            f"the ledger and the registered model of {name} know each other, or nothing yet: nothing is begun anew",
            hint=f"See what differs: python -m deployment.run verify --use-case {name}",
        )


class ChangeUnfinished(LakehouseError):
    """The champion has changed, and what follows from it could not be written."""

    @classmethod
    def of(cls, entry: Entry, reason: Exception) -> "ChangeUnfinished":
        return cls(
            f"version {entry.to_version} of {entry.use_case} is the champion, and not all is recorded: {reason}",
            hint="The next command finishes it; so does this one:"
            f" python -m deployment.run verify --use-case {entry.use_case} --repair",
        )


@dataclass(frozen=True)
class ChampionChange:
    """The champions of one model, in registry and ledger."""

    name: str
    client: MlflowClient
    ledger: Ledger

    def history(self) -> History:
        """What the ledger says, after it was found whole.

        Raises:
            LedgerBroken: it is not what was written, or ends elsewhere than the registry knows.
        """
        history = History(self.ledger.entries(self.name))
        self._require_end(history)
        return history

    def champion(self) -> int | None:
        """The version that the alias is at."""
        found = version_of(self.client, self.name, CHAMPION)
        return None if found is None else int(found.version)

    def record(self, entry: Entry) -> None:
        """Write an entry that moves nothing."""
        self.ledger.append(entry)
        self.client.set_registered_model_tag(self.name, HEAD, entry.digest)

    def move(self, entry: Entry) -> None:
        """Move the champion as the entry says, and all that follows.

        Raises:
            ChampionMoved: it is not the entry's `from_version` any more; nothing was changed.
            PromotionBusy: another command was first to write to the ledger, and the alias follows that one.
            ChangeUnfinished: it moved, and the rest is left to `repair`.
        """
        if (found := self.champion()) != entry.from_version:
            raise ChampionMoved.of(self.name, entry.from_version, found)
        self.client.set_registered_model_tag(self.name, PENDING, entry.to_json())
        self.client.set_registered_model_alias(self.name, CHAMPION, str(entry.to_version))
        try:
            self._record_or_yield(entry)
            self.client.delete_registered_model_tag(self.name, PENDING)
            self.settle(History(self.ledger.entries(self.name)))
        except PromotionBusy:
            raise
        except (MlflowException, RequestException, LakehouseError, OSError) as err:
            raise ChangeUnfinished.of(entry, err) from err

    def repair(self, entry: Callable[[History, int | None, str], Entry]) -> None:
        """Finish what an earlier command began, and record what moved without one.

        Args:
            entry: makes the entry of a repair from the history, the champion as it is, and the reason.

        Raises:
            LedgerBroken: there is nothing to go on from.
            ChampionLost: the champion was deleted, and an earlier one is there.
        """
        history, tags = self.history(), self._tags()
        if PENDING in tags:
            self._finish(self._pending(tags[PENDING]), history)
            history = History(self.ledger.entries(self.name))
        if history.head != tags.get(HEAD, "") and history.head != self._tags().get(HEAD, ""):
            self.client.set_registered_model_tag(self.name, HEAD, history.head)
        if PENDING in tags:
            self.client.delete_registered_model_tag(self.name, PENDING)
        if history.champion is not None and self.champion() is None:
            self._find_lost(history.champion, history, entry)
        elif self.champion() != history.champion:
            reason = "the alias had moved, and no command of this project said so"
            self.record(entry(history, self.champion(), reason))
        self.settle(History(self.ledger.entries(self.name)))

    def require_strangers(self) -> History:
        """What the ledger says, where it and the registered model know nothing of each other.

        Raises:
            LedgerBroken: the ledger is not what was written.
            NotAnew: they do.
        """
        history = History(self.ledger.entries(self.name))
        try:
            self._require_end(history)
        except LedgerBroken as err:
            begun = bool(history.entries) and history.entries[-1].action == "ledger_reset"  # and then cut off
            if begun or isinstance(err, LedgerMismatch):
                return history
            raise
        raise ResetRefused.of(self.name)

    def settle(self, history: History) -> None:
        """Let tags and the other aliases follow the champion."""
        before = [version for version in history.reign[:-1] if aliases.exists(self.client, self.name, version)]
        aliases.settle(self.client, self.name, before[-1] if before else None, history.former)

    def _record_or_yield(self, entry: Entry) -> None:
        try:
            self.record(entry)
        except (LedgerBroken, PromotionBusy) as err:
            history = History(self.ledger.entries(self.name))
            if not history.overtook(entry):
                raise
            self._finish(entry, history)
            raise PromotionBusy.by("it wrote the same entry of the ledger") from err

    def _finish(self, pending: Entry, history: History) -> None:
        """Record a change whose alias has moved; where another command recorded first, let the alias follow that."""
        if self.champion() != pending.to_version:
            return
        if history.overtook(pending) and history.champion is not None:
            self.client.set_registered_model_alias(self.name, CHAMPION, str(history.champion))
        elif pending.previous == history.head:
            self.ledger.append(pending)

    def _find_lost(self, lost: int, history: History, entry: Callable[[History, int | None, str], Entry]) -> None:
        if aliases.exists(self.client, self.name, lost):
            self.client.set_registered_model_alias(self.name, CHAMPION, str(lost))
            return
        former = [version for version in history.former if aliases.exists(self.client, self.name, version)]
        if former:
            raise ChampionLost.of(self.name, lost, former[0])
        self.record(entry(history, None, f"version {lost} was deleted, and so was every champion before it"))

    def _require_end(self, history: History) -> None:
        tags = self._tags()
        known, last = tags.get(HEAD, ""), history.entries[-1] if history.entries else None
        # A command that was cut off may have written the entry, and not yet its hash. The tag `ledger_pending` stands
        # until both of a promotion or rollback are written: without it, the model was deleted and made anew.
        cut_off = last is not None and (last.action not in {"promoted", "rolled_back"} or PENDING in tags)
        if known not in {history.head, last.previous if last is not None and cut_off else history.head}:
            if not known:
                raise LedgerMismatch.of_model(self.name, history.head)
            if last is None:
                raise LedgerMismatch.of_ledger(self.name, known)
            problem = (
                f"it ends with {history.head[:12] or 'nothing'}, and the registry knows {known[:12] or 'nothing'}"
                f" (its tag {HEAD}) as the end"
            )
            raise LedgerBroken.at(self.name, problem)

    def _pending(self, text: str) -> Entry:
        try:
            return Entry.from_json(text)
        except (ValueError, TypeError, KeyError) as err:
            problem = f"the tag {PENDING} of the registered model is no entry; delete it"
            raise LedgerBroken.at(self.name, problem) from err

    def _tags(self) -> dict[str, str]:
        model = model_of(self.client, self.name)
        return {} if model is None else dict(model.tags)


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"


def _reset_command(name: str) -> str:
    return f'python -m deployment.run reset-ledger --use-case {name} --reason "..."'
