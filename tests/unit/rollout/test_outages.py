"""Outages of registry and ledger during a rollout: it waits, then pauses, and loses no state."""

import errno
import socket
import sqlite3
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.tracking import MlflowClient

from deployment.commands.rollouts import golden_rows
from deployment.ledger.entries import LedgerBroken
from deployment.ledger.storage import EntryNotWritten, PromotionBusy
from deployment.rollout.lease import RolloutBusy
from deployment.rollout.outages import is_outage
from deployment.rollout.ports import RecordsUnavailable
from deployment.rollout.state import Phase
from lakehouse.tables.warehouse import WarehouseUnwritable
from tests.unit.rollout.in_memory import Behaviour, World
from training.use_case.rollout import RolloutPlan

PLAN = RolloutPlan(bake_minutes=30, steps=(10, 50), poll_seconds=30)
AWAY = "registry or ledger cannot be used; nothing is changed until they can be: MLflow failed: database is locked"
SHORT, LONG = 300.0, 1_500.0  # the limit is ten minutes


def begun(**changes: object) -> World:
    world = World(**changes)  # type: ignore[arg-type]
    world.begun(PLAN)
    return world


def paused(world: World) -> list[str]:
    return [event for action, _, event in world.entries if action == "rollout_paused"]


def test_an_outage_at_any_event_is_waited_for_and_nothing_is_lost_or_done_twice() -> None:
    for versions, phase in (({}, Phase.FINISHED), ({5: Behaviour(errors=0.02)}, Phase.ROLLED_BACK)):
        whole = begun(versions=versions)
        whole.run(PLAN)
        for event in range(3, whole.events + 1):
            world = begun(versions=versions, away_at=event)
            assert world.run(PLAN, patient=False).phase is phase, event
            assert (world.traffic, world.alias, world.updates) == (whole.traffic, whole.alias, whole.updates), event
            told = [line for line in world.lines if "registry" in line]
            assert told == [
                AWAY,
                "registry and ledger can be used again after 5 min",
            ], event


def test_follow_waits_for_the_end_of_a_long_outage_records_it_and_bakes_again() -> None:
    world = begun(at={900.0: lambda w: w.begin_outage(LONG)})
    assert world.run(PLAN).phase is Phase.FINISHED
    assert paused(world) == ["paused: registry or ledger could not be used for 25 min"]
    assert world.now >= 900 + LONG + 2 * 1_800, "the whole bake begins again"
    assert [line for line in world.lines if "ledger c" in line and "version" not in line] == [
        AWAY,
        "the rollout is paused: registry or ledger could not be used for 10 min: MLflow failed: database is locked",
        "registry and ledger can be used again after 25 min",
    ]


def test_the_command_rollout_ends_after_ten_minutes_with_the_reason_and_is_continued() -> None:
    world = begun(at={900.0: lambda w: w.begin_outage(LONG)})
    with pytest.raises(
        RecordsUnavailable, match="could not be used for 10 min: MLflow failed: database is locked"
    ) as unavailable:
        world.run(PLAN, patient=False)
    assert "rollout --use-case m" in str(unavailable.value)
    assert (world.entries[-1][1].phase, world.traffic) == (Phase.BAKING, {2: 90, 5: 10})
    world.sleep(LONG)
    assert world.run(PLAN, patient=False).phase is Phase.FINISHED
    assert world.updates == [{2: 100, 5: 0}, {2: 90, 5: 10}, {2: 50, 5: 50}, {5: 100}]


def test_a_version_that_fails_during_an_outage_is_rolled_back_at_its_end() -> None:
    def begin_to_fail(world: World) -> None:
        world.versions[5] = Behaviour(errors=0.5)
        world.begin_outage(LONG)

    world = begun(at={900.0: begin_to_fail})
    assert world.run(PLAN).phase is Phase.ROLLED_BACK
    assert world.now < 900 + LONG + 120
    assert (world.traffic, world.alias, paused(world)) == ({2: 100}, 2, [])


def test_a_version_that_could_not_be_fetched_during_an_outage_is_no_failure() -> None:
    def recover(world: World) -> None:
        world.away = None
        world.versions[5] = Behaviour()

    world = begun(versions={5: Behaviour(loads=False)})
    carry_out = world.set_traffic

    def set_traffic(rollout: object) -> None:
        if not world.versions[5].loads:
            world.begin_outage(SHORT)
            world.at = {world.now + SHORT: recover}
        carry_out(rollout)  # type: ignore[arg-type]

    world.set_traffic = set_traffic  # type: ignore[method-assign]
    assert world.run(PLAN).phase is Phase.FINISHED


def test_whoever_took_over_during_an_outage_is_left_alone() -> None:
    def taken(world: World) -> None:
        world.away = RolloutBusy.lost("m", "another")

    world = begun(at={900.0: lambda w: w.begin_outage(SHORT), 1_000.0: taken})
    with pytest.raises(RolloutBusy, match="another has taken over"):
        world.run(PLAN)
    assert world.entries[-1][1].phase is Phase.BAKING


def test_what_may_pass_is_told_from_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(MlflowException) as refused:
            MlflowClient(away, away).get_registered_model("m")
    assert is_outage(refused.value)
    for passes in (
        OSError(errno.ENOSPC, "No space left on device"),
        EntryNotWritten.of("m", OSError("disk full")),
        PromotionBusy.by("process 1"),
        WarehouseUnwritable.at(Path("warehouse"), OSError(errno.ENOSPC, "No space left on device")),
    ):
        assert is_outage(passes)
    missing = MlflowException("no such model", RESOURCE_DOES_NOT_EXIST)
    for stays in (
        missing, LedgerBroken.at("m", "entry 3 hashes to abc"), RolloutBusy.lost("m", "another"),
        FileNotFoundError(errno.ENOENT, "No such file"), sqlite3.OperationalError("not of the registry"),
    ):  # fmt: skip
        assert not is_outage(stays)


def test_golden_rows_of_a_registry_that_is_away_are_no_fault_of_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    class Version:
        name, version = "m", "5"

    class Client:
        def get_model_version(self, _name: str, _number: str) -> Version:
            return Version()

    def away(**_: object) -> str:
        raise MlflowException("connection refused")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", away)
    with pytest.raises(MlflowException, match="connection refused"):
        golden_rows.golden_rows(Client(), "m", 5)  # type: ignore[arg-type]
