"""The gate: judge the challenger, and do what the decision says. Nothing else changes a champion."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from deployment.gate import holdout, verdict
from deployment.gate.criteria import decide
from deployment.gate.decision import Decision, Standing
from deployment.gate.loaded_version import LoadedVersion
from deployment.ledger import aliases
from deployment.ledger.champion_change import ChampionChange
from deployment.ledger.entries import LONGEST_REASON, Action, Entry, Ledger, following
from deployment.ledger.history import History
from deployment.ledger.origin import actor, commit
from lakehouse.errors import LakehouseError
from training.feature_store import FeatureStore
from training.registry.versions import CHAMPION, version_of
from training.use_case.use_case import UseCase

Between = tuple[int | None, int | None]  # the champion before and after


class RollbackRefused(LakehouseError):
    """There is no way back to that version."""

    @classmethod
    def nowhere(cls, name: str, others: list[int]) -> "RollbackRefused":
        look = f"python -m deployment.run history --use-case {name}"
        known = f"; once champions: {_listed(others)}" if others else ""
        return cls(
            f"{name} has no champion before this one to go back to{known}",
            hint=f"Name one of those with --to, or look: {look}" if others else f"See what was done: {look}",
        )

    @classmethod
    def never_champion(cls, name: str, version: int, former: list[int]) -> "RollbackRefused":
        return cls(
            f"version {version} of {name} was never its champion; once champions: {_listed(former)}",
            hint=f"A version that was not is promoted: python -m deployment.run promote --use-case {name}",
        )


class NotApproved(LakehouseError):
    """No person has said yes."""

    @classmethod
    def of(cls, name: str, version: int, tag: str) -> "NotApproved":
        found = f"its tag {aliases.APPROVAL} is '{tag}'" if tag else f"it has no tag {aliases.APPROVAL}"
        return cls(
            f"version {version} of {name} is not approved: {found}, or was approved before the champion changed",
            hint=f"Set the tag to {aliases.APPROVED}, or: python -m deployment.run approve --use-case {name}"
            f' --version {version} --reason "..."',
        )


class ReasonRefused(LakehouseError):
    """A reason says nothing, or too much."""

    @classmethod
    def of_length(cls, length: int) -> "ReasonRefused":
        return cls(
            f"a reason has 1 to {LONGEST_REASON} characters, and this one has {length}", hint="Say it in a sentence."
        )


@dataclass(frozen=True)
class Gate:
    """Judges the challengers of one use case and is the only one to change its champion.

    Attributes:
        store: opens the feature tables; only judging needs them, and a rollback waits for no engine.
        now: the clock.
    """

    use_case: UseCase
    client: MlflowClient
    store: Callable[[], FeatureStore]
    ledger: Ledger
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def promote(self, version: int | None = None) -> Decision:
        """Judge the challenger and do what the decision says.

        Args:
            version: which one the challenger must be; any where it is None.

        Raises:
            PromotionBusy: another command is at it.
            LakehouseError: it could not be judged or recorded, and was not promoted.
        """
        with self.alone():
            decision = self.judge(version)
            self.apply(decision)
            return decision

    def judge(self, version: int | None = None) -> Decision:
        """Score challenger and champion on the challenger's pinned holdout and decide. It changes nothing.

        Raises:
            NoChallenger, HoldoutRefused, VersionBroken: there is nothing to compare, or not fairly.
            LedgerBroken: nobody knows what is frozen and approved.
        """
        contest, history = aliases.contest(self.client, self.use_case.name, version), self._succession.history()
        pinned = holdout.rebuild(self.use_case, contest.challenger, self.store())
        if contest.champion is not None:
            pinned = holdout.unseen(pinned, contest.champion, contest.challenger, self.use_case.promotion.overlap)
        limits = self.use_case.promotion.guards
        loaded = LoadedVersion.load(contest.challenger)
        challenger = loaded.scores(pinned, limits)
        loaded.replay()  # an endpoint refuses what answers it differently
        champion = LoadedVersion.load(contest.champion).scores(pinned) if contest.champion else None
        approved = history.approval(int(contest.challenger.version))
        standing = Standing(
            int(contest.challenger.version),
            int(contest.champion.version) if contest.champion else None,
            approved,
            history.frozen,
        )
        return decide(pinned.as_rows(self.use_case), challenger, champion, self.use_case.promotion, standing)

    def apply(self, decision: Decision) -> None:
        """Keep the verdict with the challenger, and record it; if it was promoted, let the champion move.

        Raises:
            ChampionMoved: the champion is not the one that the decision compared with.
        """
        name = self.use_case.name
        version = self.client.get_model_version(name, str(decision.challenger))
        verdict.keep(self.client, version, name, decision)
        after = decision.challenger if decision.promote else decision.champion
        action: Action = "promoted" if decision.promote else "refused"
        between = decision.champion, after
        entry = self._entry(action, decision.challenger, between, _shortened(decision.summary()), decision.digest())
        if decision.promote:
            self._succession.move(entry)
        else:
            self._succession.record(entry)

    def rollback(self, to: int | None, reason: str) -> int:
        """Let an earlier champion be it again, after it has loaded and answered its golden rows; which one.

        Raises:
            RollbackRefused: there is none before, or `to` was never champion.
            VersionBroken: it does not load, or answers differently from when it was registered.
            PromotionBusy: another command is at it.
        """
        with self.alone(lost=to):
            history, now = self._succession.history(), self._succession.champion()
            target = self._target(history, to)
            if target != now:
                LoadedVersion.load(self._version(target)).replay()
                self._succession.move(self._entry("rolled_back", target, (now, target), reason))
            return target

    def reset_ledger(self, reason: str) -> None:
        """Record that the registered model was deleted and made anew, or that the ledger was lost.

        Raises:
            NotAnew: model and ledger belong together.
        """
        self.ledger.home.require_writable()
        aliases.require_model(self.client, self.use_case.name)
        with self.ledger.home.claim(self.use_case.name):
            history = self._succession.require_strangers()
            self._succession.record(self._entry("ledger_reset", None, (history.champion, None), reason))
            self.repair()

    def approve(self, version: int | None, reason: str) -> int:
        """Record that a person approves the challenger; which one it is.

        Raises:
            NoChallenger: no such version waits for it.
        """
        with self.alone():
            challenger = int(aliases.contest(self.client, self.use_case.name, version).challenger.version)
            self._say("approved", challenger, reason)
            self.client.set_model_version_tag(self.use_case.name, str(challenger), aliases.APPROVAL, aliases.APPROVED)
            return challenger

    def approve_by_tag(self, version: int | None) -> int:
        """Record the approval that a person gave in the registry, by the tag that a deployment job asks for.

        A tag says neither who set it nor when, so it counts once: after a change of the champion only `approve` does.

        Raises:
            NotApproved: the tag is not there, or has counted before.
        """
        with self.alone():
            challenger = aliases.contest(self.client, self.use_case.name, version).challenger
            number, history = int(challenger.version), self._succession.history()
            if history.approval(number):
                return number
            tag = str(challenger.tags.get(aliases.APPROVAL, ""))
            if tag.lower() != aliases.APPROVED.lower() or history.ever_approved(number):
                raise NotApproved.of(self.use_case.name, number, tag)
            self._say("approved", number, f"the tag {aliases.APPROVAL} of the version")
            return number

    def freeze(self, reason: str) -> None:
        """Let nothing be promoted until `unfreeze`; a rollback stays possible."""
        with self.alone():
            self._say("frozen", None, reason)

    def unfreeze(self, reason: str) -> None:
        """Let promotion go on."""
        with self.alone():
            self._say("unfrozen", None, reason)

    @contextmanager
    def alone(self, lost: int | None = None) -> Iterator[None]:
        """Have the right to change the champion, after what earlier commands left open is finished.

        Args:
            lost: the version that a rollback names, when the champion itself was deleted.

        Raises:
            PromotionBusy: another command has it.
            WarehouseUnwritable: there is no room for the record: what cannot be recorded is not done.
        """
        self.ledger.home.require_writable()
        aliases.require_model(self.client, self.use_case.name)
        with self.ledger.home.claim(self.use_case.name):
            if lost is None or self._succession.champion() is not None:
                self.repair()
            yield

    def repair(self) -> None:
        """Finish what an earlier command began, and record what moved without one."""
        self._succession.repair(self._repaired)

    @property
    def _succession(self) -> ChampionChange:
        return ChampionChange(self.use_case.name, self.client, self.ledger)

    def _target(self, history: History, to: int | None) -> int:
        name = self.use_case.name
        if to is None:
            if history.previous is None:
                others = [version for version in history.former if version != history.champion]
                raise RollbackRefused.nowhere(name, others)
            return history.previous
        if to not in history.former:
            raise RollbackRefused.never_champion(name, to, history.former)
        return to

    def _version(self, number: int) -> ModelVersion:
        return aliases.version(self.client, self.use_case.name, number)

    def _say(self, action: Action, version: int | None, reason: str) -> None:
        champion = version_of(self.client, self.use_case.name, CHAMPION)
        number = None if champion is None else int(champion.version)
        self._succession.record(self._entry(action, version, (number, number), reason))

    def _repaired(self, history: History, champion: int | None, reason: str) -> Entry:
        return self._entry("repaired", champion, (history.champion, champion), reason)

    def _entry(self, action: Action, version: int | None, between: Between, reason: str, digest: str = "") -> Entry:
        if not 0 < len(reason.strip()) <= len(reason) <= LONGEST_REASON:
            raise ReasonRefused.of_length(len(reason.strip()))
        entry = Entry(
            number=0,
            at=self.now(),
            actor=actor(),
            action=action,
            use_case=self.use_case.name,
            version=version,
            from_version=between[0],
            to_version=between[1],
            verdict=digest,
            reason=reason,
            commit=commit(),
            previous="",
        )
        return following(self.ledger.entries(self.use_case.name), entry)


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions)) or "none"


def _shortened(summary: str) -> str:
    """A summary as long as the ledger takes it; the verdict has all of it."""
    return summary if len(summary) <= LONGEST_REASON else f"{summary[: LONGEST_REASON - 3]}..."
