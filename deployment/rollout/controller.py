"""The controller: carries out the transitions of a rollout, and records each side effect before and after it.

It may be killed at any moment. The next controller reads the last state from the ledger and repeats the transition
that was begun. Each side effect asks endpoint or registry for its state first, and does nothing if it is done.
"""

from dataclasses import dataclass, field, replace

from deployment.endpoints.waiting import DeploymentFailed
from deployment.rollout.events import describe, share_of
from deployment.rollout.findings import StepFindings
from deployment.rollout.journal import ACTIONS, Decided
from deployment.rollout.lease import RolloutBusy
from deployment.rollout.limits.checks import ObservedStep, breach
from deployment.rollout.limits.counts import StepCounts
from deployment.rollout.ports import RecordsUnavailable, RolloutPorts
from deployment.rollout.progress import RolloutProgress
from deployment.rollout.state import WATCHED, Phase, Rollout
from deployment.rollout.target import GoldenRowsDiffer
from deployment.rollout.transitions import (
    Act,
    Effect,
    Move,
    RolloutFacts,
    Wait,
    next_transition,
    repeats_what_was_begun,
)
from lakehouse.errors import LakehouseError
from training.use_case.rollout import RolloutPlan

# Attempts of a side effect that fails for a reason that may pass, such as a server that restarts.
ATTEMPTS, RETURN_ATTEMPTS = 3, 20
JUDGED_AGAIN_SECONDS = 60.0  # until logged predictions are read again, if there were too few


@dataclass
class Controller:
    """Carries out one rollout.

    Attributes:
        ports: everything outside.
        plan: limits.
        patient: True to wait while the rollout is paused, False to return.
    """

    ports: RolloutPorts
    plan: RolloutPlan
    patient: bool = True
    _counts: StepCounts = field(default_factory=StepCounts)
    _decision: Decided | None = None
    _missing: int = 0
    _missing_since: float = 0.0
    _unreadable: str = ""
    _judged: str = ""  # bake whose predictions were judged
    _judged_at: float = 0.0
    _findings: StepFindings = field(default_factory=StepFindings)

    def run(self, rollout: Rollout) -> Rollout:
        """Carry on until the rollout ends, or is paused and the controller is not patient.

        Raises:
            RolloutBusy: Another controller has taken over.
            RecordsUnavailable: Registry or ledger did not respond for too long.
            LakehouseError: A side effect of the way back failed, or ledger or registry cannot be used.
        """
        self._counts = self.ports.progress.counts(rollout)
        if (begun := self.ports.journal.intent()) and repeats_what_was_begun(
            rollout, self._champion_and_choice(rollout)
        ):
            rollout = self._carried_out(begun, rollout)
        waited = ""
        while True:
            self.ports.renew()
            transition = next_transition(rollout, self._facts(rollout), self.plan)
            match transition:
                case None:
                    self.ports.progress.clear()
                    return rollout
                case Wait(reason):
                    self._save(rollout, reason)
                    if rollout.phase is Phase.PAUSED and not self.patient:
                        return rollout
                    if rollout.phase is Phase.PAUSED and waited != rollout.reason:
                        self.ports.tell(f"version {rollout.version}: {reason}")
                        waited = rollout.reason
                    self.ports.clock.sleep(self.plan.poll_seconds)
                case Move(after):
                    rollout = self._recorded(rollout, self._decided(after))
                case Act(effect, after):
                    self.ports.require_lease()
                    act = Act(effect, self._decided(after))
                    self.ports.journal.record("rollout_intended", rollout, f"{effect}: {share_of(after)}", act)
                    rollout = self._carried_out(act, rollout)

    def _facts(self, rollout: Rollout) -> RolloutFacts:
        facts = self._champion_and_choice(rollout)
        if rollout.phase not in WATCHED:
            return facts
        now, found, changed, judged = facts.now, "", "", StepFindings()
        try:
            view = self.ports.target.view(rollout)
            if view.failed:
                return replace(facts, breach=f"it is not loaded any more: {view.failed}")
            changed = view.changed
            if not view.entities:
                self._missing = 0
                return replace(facts, requests=self._counts.of(rollout.version).requests, changed=changed)
            self._counts = self._counts.extended(self.ports.target.reading(rollout), view.entities)
            if now >= rollout.since + self.plan.warm_up_seconds:
                self._counts = self._counts.warmed_up()
            judged = self._judged_predictions(rollout, now)
            found = self._breach(rollout) or judged.breach
            self._missing, self._unreadable = 0, ""
        except LakehouseError as err:
            self._missing_since = min(self._missing_since, now) if self._missing else now
            self._missing, self._unreadable = self._missing + 1, err.failed
        return replace(
            facts, requests=self._counts.of(rollout.version).requests, breach=found, missing=self._missing,
            silent=now - self._missing_since if self._missing else 0.0, unreadable=self._unreadable, changed=changed,
            unjudged=judged.unjudged, outage=self.ports.outages.longest(),
        )  # fmt: skip

    def _champion_and_choice(self, rollout: Rollout) -> RolloutFacts:
        journal = self.ports.journal
        self._decision = journal.decision(rollout)
        choice, reason = (self._decision.choice, self._decision.reason) if self._decision else (None, "")
        return RolloutFacts(self.ports.clock.time(), journal.champion(), choice, reason)

    def _decided(self, after: Rollout) -> Rollout:
        """The state with the choice that led to it as carried out."""
        return replace(after, decided=self._decision.number) if self._decision else after

    def _breach(self, rollout: Rollout) -> str:
        share = 0.5 if rollout.mirroring else rollout.share / 100
        stable, new, counts = rollout.stable, rollout.version, self._counts
        observed = ObservedStep(counts.of(stable), counts.of(new), share, counts.timed(stable), counts.timed(new))
        return breach(observed, self.plan, len(rollout.shares) + rollout.shadow)

    def _judged_predictions(self, rollout: Rollout, now: float) -> StepFindings:
        """Judge the predictions at the end of each bake: once, or again later if too few were logged by then."""
        bake = f"{rollout.step} {rollout.extensions}"
        enough = self._counts.of(rollout.version).requests >= self.plan.min_requests
        if now < rollout.until or not enough:
            return StepFindings()
        if self._judged != bake or (self._findings.unjudged and now >= self._judged_at + JUDGED_AGAIN_SECONDS):
            told = self._findings.remarks if self._judged == bake else ()
            self._findings = self.ports.findings(rollout)
            self._judged, self._judged_at = bake, now
            for remark in self._findings.remarks:
                if remark not in told:
                    self.ports.tell(f"version {rollout.version}: {remark}")
        return self._findings

    def _carried_out(self, act: Act, rollout: Rollout) -> Rollout:
        """Carry out a side effect whose intent is recorded, and record the state that it led to."""
        effect, after = act.effect, act.after
        way_back = effect in {Effect.RETURN_TRAFFIC, Effect.RETURN_CHAMPION}
        attempts = RETURN_ATTEMPTS if way_back else ATTEMPTS
        for attempt in range(attempts):
            try:
                self._carry_out(effect, after)
                break
            except (DeploymentFailed, GoldenRowsDiffer) as err:
                if way_back:
                    raise
                if attempt < attempts - 1 and isinstance(err, DeploymentFailed) and self._records_were_away():
                    continue  # the endpoint could not fetch the version
                return self._recorded(rollout, rollout.failed(err.failed))
            except (RecordsUnavailable, RolloutBusy):
                raise
            except LakehouseError as err:
                if attempt < attempts - 1:
                    self.ports.clock.sleep(self.plan.poll_seconds)
                    self.ports.renew()
                elif way_back:
                    raise
                else:
                    return self._recorded(rollout, rollout.failed(f"could not {effect}: {err.failed}"))
        if after.until:
            now = self.ports.clock.time()
            after = replace(after, since=now, until=now + after.bake)
        self._counts, self._missing = StepCounts(), 0
        return self._recorded(rollout, after)

    def _records_were_away(self) -> bool:
        """True if the registry does not respond at first; returns once it does."""
        before = self.ports.outages.count
        self.ports.journal.champion()
        return self.ports.outages.count > before

    def _carry_out(self, effect: Effect, after: Rollout) -> None:
        match effect:
            case Effect.CHECK:
                self.ports.target.check_golden_rows(after, *self.ports.golden_rows(after.version))
            case Effect.RETURN_CHAMPION:
                if remark := self.ports.journal.return_champion(after):
                    self.ports.tell(f"version {after.version}: {remark}")
            case Effect.RETURN_TRAFFIC if after.stable is None:
                pass  # no version answered before
            case _:
                self.ports.target.set_traffic(after)

    def _recorded(self, before: Rollout, after: Rollout) -> Rollout:
        extended = after.extensions > before.extensions
        action = "rollout_extended" if extended else ACTIONS.get(after.phase, "rollout_done")
        event = after.reason or share_of(after)
        if after.ended:
            self.ports.progress.clear()  # before the record: whoever is killed in between continues the rollout
        self.ports.journal.record(action, after, f"{after.phase}: {event}")
        if not after.ended:
            self._save(after, "")
        self.ports.tell(f"version {after.version}: {describe(after, extended=extended)}")
        return after

    def _save(self, rollout: Rollout, waits_for: str) -> None:
        now = self.ports.clock.time()
        progress = RolloutProgress.of(rollout, self._counts, now, waits_for)
        self.ports.progress.save(rollout, progress, self._counts)
