"""The gate: evaluates the challenger and applies the decision. It is the only writer of the champion."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from deployment.gate import verdict
from deployment.gate.criteria.decision import Decision
from deployment.gate.errors import NotApproved, RollbackRefused
from deployment.gate.evaluation import Evaluation
from deployment.gate.loaded_version import LoadedVersion
from deployment.gate.new_entry import ChampionBeforeAfter, LedgerEvent, new_entry
from deployment.gate.rollback_target import marked_target, recorded_target
from deployment.ledger import aliases
from deployment.ledger.champion_change import ChampionChange
from deployment.ledger.entries import MAX_REASON_LENGTH, Action, Entry, Ledger
from deployment.ledger.history import History
from deployment.ledger.mismatch import LedgerMismatch, RegistryRestored
from training.feature_store.store import FeatureReader
from training.registry.versions import CHAMPION, version_of
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class Gate:
    """Evaluates the challengers of one use case and changes its champion.

    Attributes:
        use_case: use case with the promotion criteria.
        client: registry client.
        store: opens the feature tables; only an evaluation needs them, so a rollback starts no engine.
        ledger: ledger of the champion changes.
        now: clock.
    """

    use_case: UseCase
    client: MlflowClient
    store: Callable[[], FeatureReader]
    ledger: Ledger
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def promote(self, version: int | None = None) -> Decision:
        """Evaluate the challenger and apply the decision.

        Args:
            version: version that the challenger must have; None accepts any.

        Raises:
            PromotionBusy: Another command is changing the champion.
            LakehouseError: The challenger could not be evaluated or recorded, and was not promoted.
        """
        with self.locked():
            decision = self.evaluate(version)
            self.apply(decision)
            return decision

    def evaluate(self, version: int | None = None) -> Decision:
        """Score challenger and champion on the challenger's pinned holdout and decide, without changing anything.

        Raises:
            NoChallenger, HoldoutRefused, VersionBroken: A fair comparison is not possible.
            LedgerBroken: The ledger is damaged, so freezes and approvals are unknown.
        """
        versions = aliases.aliased_versions(self.client, self.use_case.name, version)
        history = self._champion_change.history()  # a damaged ledger is found before an engine starts
        return Evaluation(self.use_case, self.client, self.store(), history).decide(versions)

    def apply(self, decision: Decision) -> None:
        """Save the verdict with the challenger and record it; move the champion if the decision promotes.

        Raises:
            ChampionChanged: The champion is not the one that the decision compared with.
        """
        name = self.use_case.name
        version = self.client.get_model_version(name, str(decision.challenger))
        verdict.save(self.client, version, name, decision)
        after = decision.challenger if decision.promote else decision.champion
        action: Action = "promoted" if decision.promote else "refused"
        champions = decision.champion, after
        entry = self._entry(
            action,
            decision.challenger,
            champions,
            _shortened(decision.summary()),
            verdict=decision.digest(),
            criteria=decision.criteria_digest,
        )
        if decision.promote:
            self._champion_change.move(entry)
        else:
            self._champion_change.record(entry)

    def rollback(self, to: int | None, reason: str, instead_of: int | None = None) -> int:
        """Restore an earlier champion after it loads and reproduces its golden predictions; return its version.

        Args:
            to: former champion; None for the previous one.
            reason: reason in a sentence.
            instead_of: version that must be the champion; None accepts any.

        Raises:
            RollbackRefused: No earlier champion exists, `to` was never champion, or another version is the champion.
            VersionBroken: The version does not load, or its golden predictions have changed.
            PromotionBusy: Another command is changing the champion.
        """
        try:
            self._champion_change.history()
        except RegistryRestored:
            self.reset_ledger(reason)
        except LedgerMismatch:
            champion = self._champion_change.champion()
            self._require_champion(instead_of, champion)
            target = marked_target(self.client, self.use_case.name, to)
            if target != champion:
                LoadedVersion.load(self._version(target)).replay()
                entry = self._entry("rolled_back", target, (champion, target), reason)
                self._champion_change.move_without_ledger(entry)
            return target
        with self.locked(rollback_to=to):
            history, current = self._champion_change.history(), self._champion_change.champion()
            self._require_champion(instead_of, current)
            target = recorded_target(self.use_case.name, history, to)
            if target != current:
                LoadedVersion.load(self._version(target)).replay()
                self._champion_change.move(self._entry("rolled_back", target, (current, target), reason))
            return target

    def _require_champion(self, version: int | None, champion: int | None) -> None:
        if version is not None and version != champion:
            raise RollbackRefused.other_champion(self.use_case.name, version, champion)

    def reset_ledger(self, reason: str) -> None:
        """Record that the model was deleted and trained again, the ledger lost, or the registry restored.

        Raises:
            ResetRefused: Model and ledger belong together.
        """
        self.ledger.storage.require_writable()
        aliases.require_model(self.client, self.use_case.name)
        with self.ledger.storage.lock(self.use_case.name):
            change = self._champion_change
            history = change.require_mismatch()
            known = change.known_entries(history)
            champions = history.champion, None if known is None else change.champion()
            entry = self._entry("ledger_reset" if known is None else "registry_restored", None, champions, reason)
            change.record(replace(entry, resumes=known))
            self.repair()

    def approve(self, version: int | None, reason: str) -> int:
        """Record the approval of the challenger; return its version.

        Raises:
            NoChallenger: No such challenger exists.
        """
        with self.locked():
            challenger = int(aliases.aliased_versions(self.client, self.use_case.name, version).challenger.version)
            self._record_override("approved", challenger, reason)
            self.client.set_model_version_tag(self.use_case.name, str(challenger), aliases.APPROVAL, aliases.APPROVED)
            return challenger

    def approve_by_tag(self, version: int | None) -> int:
        """Record the approval that a person gave in the registry, by the tag that a deployment job checks.

        A tag shows neither its author nor its time, so it counts once. After a champion change only `approve` counts.

        Raises:
            NotApproved: The tag is missing, or was already used.
        """
        with self.locked():
            challenger = aliases.aliased_versions(self.client, self.use_case.name, version).challenger
            number, history = int(challenger.version), self._champion_change.history()
            if history.approval(number):
                return number
            tag = str(challenger.tags.get(aliases.APPROVAL, ""))
            if tag.lower() != aliases.APPROVED.lower() or history.ever_approved(number):
                raise NotApproved.of(self.use_case.name, number, tag)
            self._record_override("approved", number, f"tag {aliases.APPROVAL} set on the version")
            return number

    def freeze(self, reason: str) -> None:
        """Block promotions until `unfreeze`; a rollback stays possible."""
        with self.locked():
            self._record_override("frozen", None, reason)

    def unfreeze(self, reason: str) -> None:
        """Allow promotions again."""
        with self.locked():
            self._record_override("unfrozen", None, reason)

    def record_rollout(self, action: Action, version: int, reason: str, rollout: str) -> None:
        """Record an event of a rollout; the champion stays.

        Args:
            action: kind of the event.
            version: new version.
            reason: event in a sentence.
            rollout: state of the rollout after the event, as JSON.
        """
        with self.locked():
            self._record_override(action, version, _shortened(reason), rollout)

    @contextmanager
    def locked(self, rollback_to: int | None = None) -> Iterator[None]:
        """Hold the lock for changing the champion, after completing interrupted commands.

        Args:
            rollback_to: target of a rollback; it may replace a champion that was deleted.

        Raises:
            PromotionBusy: Another command holds the lock.
            WarehouseUnwritable: The ledger cannot be written to; unrecorded changes are not made.
        """
        self.ledger.storage.require_writable()
        aliases.require_model(self.client, self.use_case.name)
        with self.ledger.storage.lock(self.use_case.name):
            if rollback_to is None or self._champion_change.champion() is not None:
                self.repair()
            yield

    def repair(self) -> None:
        """Complete an interrupted command, and record an alias that moved without a command."""
        self._champion_change.repair(self._repaired)

    def missing_ledger(self) -> str:
        """Reason why this machine cannot read the ledger of the registered model; empty if it can."""
        try:
            self._champion_change.history()
        except LedgerMismatch as err:
            return err.failed
        return ""

    @property
    def _champion_change(self) -> ChampionChange:
        return ChampionChange(self.use_case.name, self.client, self.ledger)

    def _version(self, number: int) -> ModelVersion:
        return aliases.version(self.client, self.use_case.name, number)

    def _record_override(self, action: Action, version: int | None, reason: str, rollout: str = "") -> None:
        champion = version_of(self.client, self.use_case.name, CHAMPION)
        number = None if champion is None else int(champion.version)
        self._champion_change.record(self._entry(action, version, (number, number), reason, rollout=rollout))

    def _repaired(self, history: History, champion: int | None, reason: str) -> Entry:
        return self._entry("repaired", champion, (history.champion, champion), reason)

    def _entry(
        self, action: Action, version: int | None, champions: ChampionBeforeAfter, reason: str, **added: str
    ) -> Entry:
        event = LedgerEvent(action, version, champions, reason, **added)
        return new_entry(self.ledger.entries(self.use_case.name), self.use_case.name, self.now(), event)


def _shortened(summary: str) -> str:
    """Cut a summary to the length that the ledger accepts; the verdict has the full text."""
    return summary if len(summary) <= MAX_REASON_LENGTH else f"{summary[: MAX_REASON_LENGTH - 3]}..."
