"""Aliases, tags and ledger, on a real registry and a real Delta table."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from deployment import stages
from deployment.gate import Gate
from deployment.ledger import Entry, Ledger
from deployment.promotion import Decision, Reason
from lakehouse.session import open_session
from lakehouse.warehouse import Warehouse
from training.feature_store.local import LocalFeatureStore
from training.provenance import Provenance
from training.registry import newest_version, version_of
from training.use_case import load

NAME = "term_deposit"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture
def client(uri: str) -> MlflowClient:
    """A registry with three versions of a model; version 3 is the challenger, and there is no champion."""
    ours = MlflowClient(uri, uri)
    if ours.search_registered_models(f"name = '{NAME}'"):
        ours.delete_registered_model(NAME)
    ours.create_registered_model(NAME)
    for _ in range(3):
        ours.create_model_version(NAME, source="file:///nowhere", tags={"stage": "Development"})
    ours.set_registered_model_alias(NAME, "challenger", "3")
    return ours


@pytest.fixture
def gate(client: MlflowClient, tmp_path: Path) -> Gate:
    session, warehouse = open_session(), Warehouse(tmp_path)
    return Gate(load(NAME), client, LocalFeatureStore(session, warehouse), Ledger(session, warehouse))


def tags(client: MlflowClient) -> dict[int, str]:
    return {int(v.version): v.tags["stage"] for v in client.search_model_versions(f"name = '{NAME}'")}


def decision(challenger: int, champion: int | None, *, promote: bool) -> Decision:
    return Decision(challenger, champion, promote, (Reason("minimum", ">= 0.6", "0.7", promote),))


def actions(gate: Gate) -> list[tuple[str, int | None, int | None]]:
    return [(entry.action, entry.from_version, entry.to_version) for entry in gate.ledger.entries(NAME)]


def test_without_a_champion_the_challenger_stands_alone(client: MlflowClient) -> None:
    contest = stages.contest(client, NAME)
    assert (int(contest.challenger.version), contest.champion) == (3, None)
    with pytest.raises(stages.NoChampion, match=r"python -m deployment\.run promote --use-case term_deposit"):
        stages.champion(client, NAME)


def test_without_a_challenger_there_is_nothing_to_promote(client: MlflowClient) -> None:
    client.delete_registered_model_alias(NAME, "challenger")
    with pytest.raises(stages.NoChallenger, match=r"python -m training\.run --use-case term_deposit"):
        stages.contest(client, NAME)
    with pytest.raises(stages.NoChallenger):
        stages.contest(client, "never_trained")


def test_a_crown_moves_alias_and_tags(client: MlflowClient) -> None:
    stages.crown(client, NAME, "1")
    stages.crown(client, NAME, "3")
    stages.crown(client, NAME, "3")
    assert int(stages.champion(client, NAME).version) == 3
    assert tags(client) == {1: "Archived", 2: "Development", 3: "Production"}
    assert version_of(client, NAME, "challenger") is None
    assert int(newest_version(client, NAME).version) == 3  # type: ignore[union-attr]


def test_tags_follow_an_alias_that_moved_alone(client: MlflowClient) -> None:
    stages.crown(client, NAME, "1")
    client.set_registered_model_alias(NAME, "champion", "2")
    stages.settle(client, NAME)
    assert tags(client) == {1: "Archived", 2: "Production", 3: "Development"}


def test_a_promotion_is_applied_and_recorded(gate: Gate) -> None:
    promoted = decision(3, None, promote=True)
    gate.apply(promoted)
    (entry,) = gate.ledger.entries(NAME)
    assert (entry.action, entry.from_version, entry.to_version) == ("promoted", None, 3)
    assert (entry.verdict, entry.reason) == (promoted.digest(), "version 3 meets all 1 criteria")
    assert gate.client.get_model_version(NAME, "3").tags["verdict"] == promoted.to_json()
    assert tags(gate.client)[3] == "Production"


def test_a_refusal_changes_nothing_and_is_recorded(gate: Gate) -> None:
    stages.crown(gate.client, NAME, "1")
    gate.apply(decision(3, 1, promote=False))
    assert int(stages.champion(gate.client, NAME).version) == 1
    assert int(stages.contest(gate.client, NAME).challenger.version) == 3
    assert actions(gate) == [("refused", 1, 1)]


def test_a_promotion_that_was_cut_off_is_repaired_once(gate: Gate) -> None:
    gate.apply(decision(1, None, promote=True))
    gate.client.set_registered_model_alias(NAME, "champion", "2")  # the end of a command that then was killed
    gate.repair()
    gate.repair()
    assert actions(gate) == [("promoted", None, 1), ("repaired", 1, 2)]
    assert tags(gate.client) == {1: "Archived", 2: "Production", 3: "Development"}


def test_entries_come_in_order_and_by_use_case(tmp_path: Path) -> None:
    ledger = Ledger(open_session(), Warehouse(tmp_path))
    assert ledger.entries("a") == []
    entries = [
        Entry(
            NOON + timedelta(hours=hour),
            "me",
            "promoted",
            use_case,
            None if hour == 0 else hour,
            hour + 1,
            "d",
            "it's",
        )
        for hour, use_case in enumerate(["a", "b", "a"])
    ]
    for entry in reversed(entries):
        ledger.append(entry)
    assert ledger.entries("a") == [entries[0], entries[2]]


def test_provenance_survives_its_tags() -> None:
    data = Provenance({"gold.t": 3, "gold.a": 0}, 10, NOON, NOON + timedelta(days=3), NOON, 4, "f" * 64, None)
    assert Provenance.of_tags(data.tags()) == data
    newer = Provenance({}, 1, NOON, NOON, NOON, 1, "", 0)
    assert Provenance.of_tags(newer.tags()) == newer
