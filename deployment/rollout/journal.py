"""Record of the rollouts of a use case in the ledger, and the way back of the champion."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mlflow.exceptions import MlflowException

from deployment.gate.errors import RollbackRefused
from deployment.gate.gate import Gate
from deployment.ledger.entries import MAX_REASON_LENGTH, Action, Entry, Ledger
from deployment.ledger.history import History
from deployment.model_server.clock import SYSTEM
from deployment.rollout.lease import is_held, retried
from deployment.rollout.progress import ProgressTags
from deployment.rollout.state import Phase, Rollout, RolloutChoice
from deployment.rollout.transitions import Act, Effect
from training.registry.versions import CHAMPION, version_of

TAG = "rollout"  # tag of a version: state of its last rollout
ACTIONS: dict[Phase, Action] = {
    Phase.STARTED: "rollout_started",
    Phase.PAUSED: "rollout_paused",
    Phase.FAILED: "rollout_failed",
    Phase.FINISHED: "rollout_ended",
    Phase.ROLLED_BACK: "rollout_ended",
    Phase.SUPERSEDED: "rollout_ended",
}


@dataclass(frozen=True)
class Decided:
    """Choice of a person.

    Attributes:
        number: number of its ledger entry.
        choice: choice.
        reason: reason that the person gave.
    """

    number: int
    choice: RolloutChoice
    reason: str


class RolloutJournal(Protocol):
    """Boundary between a controller and the record of its rollouts."""

    def current(self) -> Rollout | None:
        """State of the last rollout, ended or not."""
        ...

    def record(self, action: Action, rollout: Rollout, event: str, intent: Act | None = None) -> None:
        """Record an event and the state after it; of an intent also the side effect that follows."""
        ...

    def intent(self) -> Act | None:
        """Side effect that was begun, if its result is not recorded."""
        ...

    def decision(self, rollout: Rollout) -> Decided | None:
        """Last choice of a person about the rollout that was not carried out yet."""
        ...

    def champion(self) -> int | None:
        """Version with the alias champion."""
        ...

    def return_champion(self, rollout: Rollout) -> str:
        """Make the stable version the champion again, and mark the new one; return a remark, or empty."""
        ...


def unfinished(ledger: Ledger, use_case: str) -> Rollout | None:
    """Rollout of a use case that has not ended; None without one."""
    entry = _last(History(ledger.entries(use_case)).since_reset)
    last = None if entry is None else Rollout.from_json(entry.rollout)
    return None if last is None or last.ended else last


def _last(entries: Sequence[Entry]) -> Entry | None:
    """Last entry with a state of a rollout; the choice of a person has none of its own."""
    recorded = (each for each in reversed(entries) if each.rollout and each.action != "rollout_decided")
    return next(recorded, None)


@dataclass(frozen=True)
class LedgerJournal:
    """Journal in the ledger of a gate.

    Attributes:
        gate: gate of the use case.
    """

    gate: Gate

    def current(self) -> Rollout | None:
        entry = _last(self._entries())
        return None if entry is None else Rollout.from_json(entry.rollout)

    def intent(self) -> Act | None:
        entry = _last(self._entries())
        if entry is None or entry.action != "rollout_intended":
            return None
        values = json.loads(entry.rollout)
        return Act(Effect[values["effect"]], Rollout.from_json(json.dumps(values["after"])))

    def failure_of(self, version: int) -> str:
        """Reason for which the last rollout of the version was rolled back; empty if it was not."""
        rollouts = [Rollout.from_json(each.rollout) for each in self._entries() if each.rollout]
        last = next((each for each in reversed(rollouts) if each.version == version), None)
        failed = last is not None and last.phase in {Phase.FAILED, Phase.TRAFFIC_BACK, Phase.ROLLED_BACK}
        return last.reason if last is not None and failed else ""

    def record(self, action: Action, rollout: Rollout, event: str, intent: Act | None = None) -> None:
        state = rollout.to_json()
        if intent is not None:
            after = json.loads(intent.after.to_json())
            state = json.dumps(json.loads(state) | {"effect": intent.effect.name, "after": after})
        retried(lambda: self.gate.record_rollout(action, rollout.version, event, state), SYSTEM)
        if action in {"rollout_started", "rollout_paused", "rollout_ended"}:
            self._mark(rollout)

    def decision(self, rollout: Rollout) -> Decided | None:
        for entry in reversed(self._entries()):
            if entry.action == "rollout_decided" and entry.number > rollout.decided:
                values = json.loads(entry.rollout)
                if values["id"] == rollout.id:
                    return Decided(entry.number, RolloutChoice(values["choice"]), entry.reason)
        return None

    def decide(self, choice: RolloutChoice, reason: str) -> Rollout | None:
        """Record the choice of a person; return the rollout, or None if none is in progress."""
        rollout = self.current()
        if rollout is None or rollout.ended:
            return None
        state = json.dumps(json.loads(rollout.to_json()) | {"choice": choice})
        retried(lambda: self.gate.record_rollout("rollout_decided", rollout.version, reason, state), SYSTEM)
        return rollout

    def champion(self) -> int | None:
        version = version_of(self.gate.client, self.gate.use_case.name, CHAMPION)
        return None if version is None else int(version.version)

    def return_champion(self, rollout: Rollout) -> str:
        remark, stable = "", rollout.stable
        if stable is not None and self.champion() == rollout.version:
            reason = f"rollout of version {rollout.version}: {rollout.reason}"[:MAX_REASON_LENGTH]
            try:
                retried(lambda: self.gate.rollback(stable, reason), SYSTEM)
            except RollbackRefused as err:
                remark = f"it stays the champion, without traffic: {err.failed}"
        self._mark(rollout)
        return remark

    def _mark(self, rollout: Rollout) -> None:
        """Tag the version with the state of its rollout, for people who look at the registry."""
        text = f"{rollout.phase}: {rollout.reason}" if rollout.reason else str(rollout.phase)
        try:
            self.gate.client.set_model_version_tag(self.gate.use_case.name, str(rollout.version), TAG, text[:250])
        except MlflowException as err:
            if err.error_code != "RESOURCE_DOES_NOT_EXIST":  # the version may have been deleted
                raise

    def _entries(self) -> list[Entry]:
        return list(History(self.gate.ledger.entries(self.gate.use_case.name)).since_reset)


def end_superseded(gate: Gate) -> None:
    """Record the end of a rollout whose version is no longer the champion, unless a controller does so."""
    name, journal = gate.use_case.name, LedgerJournal(gate)
    rollout, champion = unfinished(gate.ledger, name), journal.champion()
    if rollout is None or rollout.version == champion or is_held(gate.client, name, SYSTEM.time()):
        return
    ended = rollout.superseded(champion)
    journal.record(ACTIONS[ended.phase], ended, f"{ended.phase}: {ended.reason}")
    ProgressTags(gate.client, name).clear()


def _conforms(journal: LedgerJournal) -> RolloutJournal:
    return journal
