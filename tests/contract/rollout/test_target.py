"""One suite for an endpoint of a workspace (autospecced SDK) and of our server. A fake clock bakes for 30 minutes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import ServedModelState
from databricks.sdk.service.serving import ServedModelStateDeployment as Deployment

from deployment.endpoints import endpoint_client
from deployment.endpoints.endpoint_client import EndpointServesOtherModel
from deployment.endpoints.waiting import WaitLimit
from deployment.model_server.clock import SYSTEM
from deployment.rollout.beginning import Aim, begun
from deployment.rollout.controller import Controller
from deployment.rollout.findings import StepFindings
from deployment.rollout.outages import Outages
from deployment.rollout.ports import RolloutPorts
from deployment.rollout.state import Phase, Rollout
from deployment.rollout.target import EndpointTarget
from tests.contract.rollout.fake_workspace import FakeWorkspace
from tests.unit.rollout.in_memory import Records
from training.use_case.rollout import RolloutPlan

# Response times are real here, and differ with the load of the machine.
PLAN = RolloutPlan(bake_minutes=30, steps=(10, 50), min_requests=20, poll_seconds=30, tolerated_ms=1000)
ROW = {"age": 41}


def answer(version: str, row: Any) -> dict[str, Any]:
    """Prediction of a version of `term_deposit`, as `tests/contract/conftest.py` registers it."""
    return {"version": int(version), "probability": row["age"] / 100}


@dataclass
class Backend:
    """An endpoint, a clock that sends requests while it sleeps, and the records of the rollouts."""

    client: WorkspaceClient
    endpoint: str
    records: Records
    advance: Callable[[float], None]
    now: float = 0.0
    deleted_at: float = float("inf")  # time at which a person deletes the endpoint
    changes: dict[float, dict[int, int]] = field(default_factory=dict)  # traffic that a person sets at a time

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.advance(self.now)
        if self.now >= self.deleted_at:
            self.deleted_at = float("inf")
            self.client.serving_endpoints.delete(self.endpoint)
        if endpoint_client.served_by(self.client, self.endpoint) is None:
            return
        for moment in [moment for moment in self.changes if moment <= self.now]:
            endpoint_client.shift(self.client, self.endpoint, "term_deposit", self.changes.pop(moment))
        for _ in range(5):
            self.client.serving_endpoints.query(self.endpoint, dataframe_records=[ROW])

    def roll_out(
        self, version: int, plan: RolloutPlan = PLAN, model: str = "term_deposit", *, patient: bool = True
    ) -> Rollout | None:
        self.records.alias = version
        served = endpoint_client.served_by(self.client, self.endpoint)
        rollout = begun(Aim(model, self.endpoint, version), served, self.records.current(), plan)
        if rollout is None:
            return None
        self.records.record("rollout_started", rollout, "started")
        records, target = self.records, EndpointTarget(self.client, WaitLimit(60, SYSTEM))
        golden = [answer(str(version), ROW)]
        outages = Outages("m", self, records.lines.append, patient, lambda: None)
        ports = RolloutPorts(
            records, target, records, lambda _: ([ROW], golden), lambda _: StepFindings(), lambda: None, lambda: None,
            self, records.lines.append, outages,
        )  # fmt: skip
        return Controller(ports, plan, patient).run(rollout)

    @property
    def traffic(self) -> dict[int, int]:
        return endpoint_client.served_versions(self.client, self.endpoint)


@pytest.fixture(params=["workspace", "model server"])
def backend(request: pytest.FixtureRequest) -> Backend:
    endpoint = f"rolled-{request.node.callspec.indices['backend']}-{abs(hash(request.node.name)) % 10**6}"
    if request.param == "workspace":
        fake = FakeWorkspace(lambda version: "no weights" if version == "3" else "", answer)
        return Backend(fake.client, endpoint, Records(), lambda now: setattr(fake, "now", now))
    return Backend(request.getfixturevalue("client"), endpoint, Records(), lambda now: None)


def test_an_endpoint_is_created_and_the_next_version_gets_its_traffic_in_steps(backend: Backend) -> None:
    first = backend.roll_out(1)
    assert first is not None and first.phase is Phase.FINISHED
    assert (backend.traffic, backend.now) == ({1: 100}, 0.0)
    assert backend.roll_out(1) is None, "nothing to do"
    ended = backend.roll_out(2)
    assert ended is not None and ended.phase is Phase.FINISHED, backend.records.lines
    assert backend.traffic == {2: 100}
    assert backend.now >= 2 * PLAN.bake_seconds
    shares = [rollout.share for action, rollout, _ in backend.records.entries if rollout.phase is Phase.BAKING]
    assert sorted(set(shares)) == [10, 50]


def test_a_version_that_does_not_load_never_gets_traffic(backend: Backend) -> None:
    backend.roll_out(1)
    ended = backend.roll_out(3)
    assert ended is not None and ended.phase is Phase.ROLLED_BACK
    assert "no weights" in ended.reason
    assert (backend.traffic, backend.records.alias) == ({1: 100}, 1)
    assert backend.roll_out(2, PLAN.model_copy(update={"steps": ()})).phase is Phase.FINISHED  # type: ignore[union-attr]


def test_golden_rows_that_differ_on_the_endpoint_roll_back(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    backend.roll_out(1)
    monkeypatch.setattr("tests.contract.rollout.test_target.answer", lambda version, row: {"version": 9})
    ended = backend.roll_out(2)
    assert ended is not None and ended.phase is Phase.ROLLED_BACK
    assert "for its golden rows; registered was [{'version': 9}]" in ended.reason
    assert (backend.traffic, backend.records.alias) == ({1: 100}, 1)


def test_an_endpoint_that_a_person_changed_pauses_the_rollout(backend: Backend) -> None:
    backend.roll_out(1)
    backend.changes = {600.0: {1: 100}}
    paused = backend.roll_out(2, patient=False)
    assert paused is not None and paused.phase is Phase.PAUSED
    assert paused.reason == (
        "the endpoint serves version 1 (100 %), not version 1 (90 %), version 2 (10 %): somebody changed it"
    )


def test_an_endpoint_that_a_person_deleted_pauses_the_rollout_and_is_not_created_again(backend: Backend) -> None:
    backend.roll_out(1)
    backend.deleted_at = 600.0
    paused = backend.roll_out(2, patient=False)
    assert paused is not None
    assert (paused.phase, paused.reason) == (
        Phase.PAUSED, f"the endpoint '{backend.endpoint}' does not exist: somebody deleted it",
    )  # fmt: skip
    assert endpoint_client.served_by(backend.client, backend.endpoint) is None
    assert backend.records.alias == 2


def test_a_version_that_is_not_ready_beside_a_ready_one_is_rolled_back_at_the_next_look() -> None:
    fake = FakeWorkspace(lambda _: "", answer)
    backend = Backend(fake.client, "e", Records(), lambda now: setattr(fake, "now", now))
    backend.roll_out(1)
    get = fake.client.serving_endpoints.get.side_effect

    def crashed(name: str) -> Any:
        endpoint = get(name)
        for entity in endpoint.config.served_entities:
            lost = backend.now >= 600 and entity.entity_version == "2"
            state = Deployment.DEPLOYMENT_RECOVERING if lost else Deployment.DEPLOYMENT_READY
            entity.state = ServedModelState(state, "out of memory" if lost else "")
        return endpoint

    fake.client.serving_endpoints.get.side_effect = crashed
    ended = backend.roll_out(2)
    assert ended is not None and ended.phase is Phase.ROLLED_BACK
    assert (ended.reason, backend.traffic) == ("it is not loaded any more: out of memory", {1: 100})
    assert backend.now == 600.0, "at once"


def test_an_endpoint_of_another_model_is_left_alone(backend: Backend) -> None:
    backend.roll_out(1)
    with pytest.raises(EndpointServesOtherModel, match="serves term_deposit, not only drifted"):
        backend.roll_out(1, model="drifted")
