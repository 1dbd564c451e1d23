"""A rollout without servers: endpoint, journal and clock in memory. A crash is an exception at a chosen event."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from deployment.endpoints.waiting import DeploymentFailed
from deployment.ledger.entries import Action
from deployment.rollout.controller import Controller
from deployment.rollout.findings import StepFindings
from deployment.rollout.journal import Decided, RolloutJournal
from deployment.rollout.limits.counts import MetricsReading, StepCounts, VersionCounts
from deployment.rollout.outages import Outages, guarded
from deployment.rollout.ports import RolloutPorts
from deployment.rollout.progress import ProgressStore, RolloutProgress
from deployment.rollout.state import Rollout, RolloutChoice
from deployment.rollout.target import EndpointView, GoldenRowsDiffer, RolloutTarget
from deployment.rollout.transitions import Act
from lakehouse.errors import LakehouseError
from training.use_case.rollout import RolloutPlan

BOUNDS = (1.0, 2.5, 5.0, 10.0, 25.0, 2_500.0, math.inf)


class Crash(BaseException):
    """The controller is killed."""


@dataclass
class Behaviour:
    """Answers of one version.

    Attributes:
        errors: share of failed requests.
        milliseconds: response time of each request.
        loads: False if it cannot be loaded.
        golden: False if it does not reproduce its golden rows.
    """

    errors: float = 0.001
    milliseconds: float = 2.0
    loads: bool = True
    golden: bool = True


@dataclass
class Records:
    """Journal and progress of rollouts, and the registry's alias.

    Attributes:
        alias: version with the alias champion.
        crash_at: number of the event before which the controller is killed; None for never.
        away: error of registry and ledger while they are away.
        away_at: number of the event after which they are away for five minutes; None for never.
    """

    alias: int | None = 5
    crash_at: int | None = None
    away: Exception | None = None
    away_at: int | None = None
    events: int = 0
    entries: list[tuple[Action, Rollout, str]] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    begun_act: Act | None = None

    # Journal

    def current(self) -> Rollout | None:
        return self.entries[-1][1] if self.entries else None

    def record(self, action: Action, rollout: Rollout, event: str, intent: Act | None = None) -> None:
        self.require_records()
        self._event()
        self.entries.append((action, rollout, event))
        self.begun_act = intent
        self._event()

    def intent(self) -> Act | None:
        return self.begun_act

    def decision(self, rollout: Rollout) -> Decided | None:
        self.require_records()
        last = self.decisions[-1] if self.decisions else None
        return last if last is not None and last.number > rollout.decided else None

    def decide(self, choice: RolloutChoice) -> None:
        self.decisions.append(Decided(len(self.decisions) + 1, choice, "a person"))

    def champion(self) -> int | None:
        self.require_records()
        return self.alias

    def return_champion(self, rollout: Rollout) -> str:
        self.require_records()
        if self.alias == rollout.version:
            self.alias = rollout.stable
        self._event()
        return ""

    # Progress

    def counts(self, rollout: Rollout) -> StepCounts:
        stored = self.stored.get("counts")
        return stored[1] if stored and stored[0] == (rollout.id, rollout.step) else StepCounts()

    def save(self, rollout: Rollout, progress: RolloutProgress, counts: StepCounts) -> None:
        self.require_records()
        self.stored = {"progress": progress, "counts": ((rollout.id, rollout.step), counts)}

    def clear(self) -> None:
        self.stored = {}

    def require_records(self) -> None:
        if self.away is not None:
            raise self.away

    def _event(self, *, of_records: bool = True) -> None:
        self.events += 1
        if self.crash_at == self.events:
            self.crash_at = None
            raise Crash
        if self.away_at == self.events:
            self.begin_outage(300.0)
            if of_records:
                self.require_records()  # what was written is written; the response is lost

    def begin_outage(self, seconds: float) -> None:
        raise NotImplementedError


@dataclass
class World(Records):
    """Endpoint, registry, ledger and clock.

    Attributes:
        rate: requests of the endpoint per second.
        versions: behaviour of the versions; a missing one is good.
        at: functions that run once at a time, in seconds since the start.
    """

    traffic: dict[int, int] = field(default_factory=lambda: {2: 100})
    rate: float = 20.0
    versions: dict[int, Behaviour] = field(default_factory=dict)
    at: dict[float, Callable[["World"], object]] = field(default_factory=dict)
    now: float = 0.0
    down: bool = False
    mirrored: int | None = None
    updates: list[dict[int, int]] = field(default_factory=list)
    exact: dict[int, list[float]] = field(default_factory=dict)
    findings: StepFindings = field(default_factory=StepFindings)

    def begun(self, plan: RolloutPlan, **changes: Any) -> Rollout:
        """Record the start of a rollout."""
        stable = next((version for version in self.traffic if version != self.alias), None)
        rollout = Rollout("r", "m", "e", self.alias or 0, stable, plan.steps, plan.bake_seconds, plan.shadow)
        self.record("rollout_started", replace(rollout, **changes), "started")
        return self.entries[-1][1]

    def run(self, plan: RolloutPlan, *, patient: bool = True) -> Rollout:
        """Run a controller from the recorded state."""
        outages = Outages("m", self, self.lines.append, patient, self.require_records)
        ports = RolloutPorts(
            self, self, self, lambda version: ([{"age": 41}], [version]), lambda _rollout: self.findings,
            self.require_records, self.require_records, self, self.lines.append, outages,
        )  # fmt: skip
        current = self.current()
        assert current is not None
        return Controller(guarded(ports, outages), plan, patient).run(current)

    def begin_outage(self, seconds: float) -> None:
        self.away = MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)
        self.at[self.now + seconds] = lambda world: setattr(world, "away", None)

    # Clock

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 100 * 86_400, f"the rollout does not end: {self.lines}"
        for version, share in self.traffic.items():
            behaviour = self.versions.get(version, Behaviour())
            counted = self.exact.setdefault(version, [0.0, 0.0])
            requests = seconds * self.rate * (1.0 if version == self.mirrored else share / 100)
            counted[0] += requests
            counted[1] += requests * behaviour.errors
        for moment in [moment for moment in self.at if moment <= self.now]:
            self.at.pop(moment)(self)

    # Endpoint

    def set_traffic(self, rollout: Rollout) -> None:
        self._reachable()
        for version in rollout.traffic:
            if not self.versions.get(version, Behaviour()).loads:
                raise DeploymentFailed("m-5: no weights")
        if self.traffic != rollout.traffic:
            self.traffic = dict(rollout.traffic)
            self.updates.append(self.traffic)
        self.mirrored = rollout.version if rollout.mirroring else None
        self._event(of_records=False)

    def check_golden_rows(self, rollout: Rollout, rows: Sequence[Any], expected: Sequence[Any]) -> None:
        self._reachable()
        if not self.versions.get(rollout.version, Behaviour()).golden:
            raise GoldenRowsDiffer(f"it predicts 0.5 for its golden rows; registered was {list(expected)}")

    def view(self, rollout: Rollout) -> EndpointView:
        self._reachable()
        traffic = {version: share for version, share in rollout.traffic.items() if share}
        served = {version: share for version, share in self.traffic.items() if share}
        changed = "" if served == traffic else f"it serves {served}"
        return EndpointView({version: f"m-{version}" for version in self.traffic}, changed)

    def reading(self, rollout: Rollout) -> MetricsReading:
        self._reachable()
        counts = {}
        for version, (requests, errors) in self.exact.items():
            slow = self.versions.get(version, Behaviour()).milliseconds
            within = {bound: int(requests) if bound >= slow else 0 for bound in BOUNDS}
            counts[f"m-{version}"] = VersionCounts(int(requests), 0, int(errors), within)
        return MetricsReading(counts)

    def _reachable(self) -> None:
        if self.down:
            raise LakehouseError("no model server responds")


def _conforms(world: World) -> tuple[RolloutJournal, RolloutTarget, ProgressStore]:
    return world, world, world
