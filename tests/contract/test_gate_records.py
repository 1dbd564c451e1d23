"""What the gate writes for a decision, and what it finishes for a command that was cut off: registry and ledger."""

import json
from collections.abc import Iterator
from dataclasses import replace
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
from training.registry import CHALLENGER, CHAMPION
from training.use_case import load

NAME = "term_deposit"
MET = Reason("minimum roc_auc", ">= 0.6", "0.7000", passed=True)
MISSED = Reason("same holdout", "aaa", "bbb", passed=False)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture
def gate(uri: str, tmp_path: Path) -> Iterator[Gate]:
    """Three versions, the third the challenger; no champion and no ledger."""
    client, session, warehouse = MlflowClient(uri, uri), open_session(), Warehouse(tmp_path)
    client.create_registered_model(NAME)
    for _ in range(3):
        client.create_model_version(NAME, source="file:///nowhere", tags={"stage": "Development"})
    client.set_registered_model_alias(NAME, CHALLENGER, "3")
    yield Gate(load(NAME), client, LocalFeatureStore(session, warehouse), Ledger(session, warehouse))
    client.delete_registered_model(NAME)


def promoting(challenger: int, champion: int | None) -> Decision:
    return Decision(challenger, champion, promote=True, reasons=(MET,))


def refusing(challenger: int, champion: int | None) -> Decision:
    return Decision(challenger, champion, promote=False, reasons=(MET, MISSED))


def registry(gate: Gate) -> tuple[dict[int, str], dict[str, int]]:
    """The stage of each version, and the version of each alias."""
    stages_ = {int(v.version): v.tags["stage"] for v in gate.client.search_model_versions(f"name = '{NAME}'")}
    return stages_, {alias: int(v) for alias, v in gate.client.get_registered_model(NAME).aliases.items()}


def verdict(gate: Gate, version: int) -> str | None:
    tags: dict[str, str] = gate.client.get_model_version(NAME, str(version)).tags
    return tags.get("verdict")


def recorded(gate: Gate) -> list[Entry]:
    return gate.ledger.entries(NAME)


class FullDisk(OSError):
    """No space left for the ledger."""


class Unwritten(Ledger):
    """A ledger whose disk is full."""

    def append(self, entry: Entry) -> None:
        raise FullDisk(entry.action)


def test_a_promotion_writes_aliases_tags_verdict_and_entry(gate: Gate) -> None:
    stages.crown(gate.client, NAME, "1")
    gate.apply(promoting(3, 1))
    assert registry(gate) == ({1: "Archived", 2: "Development", 3: "Production"}, {CHAMPION: 3})
    assert verdict(gate, 3) == promoting(3, 1).to_json()
    (entry,) = recorded(gate)
    assert (entry.action, entry.use_case, entry.from_version, entry.to_version) == ("promoted", NAME, 1, 3)
    assert (entry.verdict, entry.reason) == (promoting(3, 1).digest(), "version 3 meets all 1 criteria")


def test_a_refusal_writes_verdict_and_entry_and_moves_nothing(gate: Gate) -> None:
    stages.crown(gate.client, NAME, "1")
    before = registry(gate)
    gate.apply(refusing(3, 1))
    assert registry(gate) == before
    assert (verdict(gate, 3), verdict(gate, 1)) == (refusing(3, 1).to_json(), None)
    (entry,) = recorded(gate)
    assert (entry.action, entry.from_version, entry.to_version) == ("refused", 1, 1)
    assert (entry.verdict, entry.reason) == (refusing(3, 1).digest(), "same holdout: required aaa, found bbb")


def test_a_first_version_that_is_refused_leaves_no_champion_and_nothing_to_repair(gate: Gate) -> None:
    before = registry(gate)
    gate.apply(refusing(3, None))
    gate.repair()
    assert registry(gate) == before
    assert [(e.action, e.from_version, e.to_version) for e in recorded(gate)] == [("refused", None, None)]


def test_an_entry_says_who_and_when(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    before = datetime.now(UTC)
    gate.apply(refusing(3, None))
    (entry,) = recorded(gate)
    assert entry.actor == "ada"
    assert before <= entry.at <= datetime.now(UTC)
    assert entry.at.utcoffset() == timedelta(0)


def test_a_later_verdict_replaces_an_earlier_one_and_the_ledger_keeps_both(gate: Gate) -> None:
    gate.apply(refusing(3, None))
    gate.apply(promoting(3, None))
    assert verdict(gate, 3) == promoting(3, None).to_json()
    assert [entry.verdict for entry in recorded(gate)] == [refusing(3, None).digest(), promoting(3, None).digest()]


def test_a_verdict_that_is_longer_than_a_tag_is_cut_there_and_whole_in_the_digest(gate: Gate) -> None:
    long = replace(refusing(3, None), reasons=tuple(replace(MISSED, found=f"{i:0100}") for i in range(100)))
    gate.apply(long)
    assert verdict(gate, 3) == long.to_json()[:5000]
    assert len(json.loads(long.to_json())["reasons"]) == 100
    assert [(entry.verdict, entry.reason) for entry in recorded(gate)] == [(long.digest(), long.summary())]


@pytest.mark.parametrize("never_trained", [False, True])
def test_without_a_champion_nothing_is_repaired(gate: Gate, never_trained: bool) -> None:
    name = "never_trained" if never_trained else NAME
    before = registry(gate)
    replace(gate, use_case=gate.use_case.model_copy(update={"name": name})).repair()
    assert (registry(gate), gate.ledger.entries(name)) == (before, [])


def test_a_champion_that_an_empty_ledger_does_not_know_is_recorded_once(gate: Gate) -> None:
    gate.client.set_registered_model_alias(NAME, CHAMPION, "2")
    for _ in range(3):
        gate.repair()
    (entry,) = recorded(gate)
    assert (entry.action, entry.use_case, entry.from_version, entry.to_version) == ("repaired", NAME, None, 2)
    assert (entry.verdict, entry.reason) == ("", "the alias had moved and the ledger did not say so")
    assert registry(gate) == ({1: "Development", 2: "Production", 3: "Development"}, {CHALLENGER: 3, CHAMPION: 2})


@pytest.mark.parametrize("decision", [promoting(3, 1), refusing(3, 1)])
def test_what_the_ledger_says_needs_no_repair(gate: Gate, decision: Decision) -> None:
    gate.apply(promoting(1, None))
    gate.apply(decision)
    before = registry(gate), recorded(gate)
    gate.repair()
    assert (registry(gate), recorded(gate)) == before


def test_tags_that_lag_behind_are_repaired_where_the_ledger_is_right(gate: Gate) -> None:
    gate.apply(promoting(3, None))
    settled, entries = registry(gate), recorded(gate)
    gate.client.set_model_version_tag(NAME, "1", "stage", "Production")
    gate.client.set_model_version_tag(NAME, "3", "stage", "Development")
    gate.client.set_registered_model_alias(NAME, CHALLENGER, "3")
    gate.repair()
    assert registry(gate) == ({**settled[0], 1: "Archived"}, settled[1])
    assert recorded(gate) == entries


def test_another_use_cases_entries_hide_no_champion(gate: Gate) -> None:
    gate.client.set_registered_model_alias(NAME, CHAMPION, "2")
    gate.ledger.append(Entry(datetime.now(UTC), "ada", "promoted", "churn", None, 2, "", ""))
    gate.repair()
    assert [(entry.action, entry.to_version) for entry in recorded(gate)] == [("repaired", 2)]


def test_a_promotion_that_was_not_recorded_is_repaired_from_the_last_recorded_champion(gate: Gate) -> None:
    gate.apply(promoting(1, None))
    with pytest.raises(FullDisk):
        replace(gate, ledger=Unwritten(gate.ledger.session, gate.ledger.warehouse)).apply(promoting(3, 1))
    promoted = {1: "Archived", 2: "Development", 3: "Production"}, {CHAMPION: 3}
    assert registry(gate) == promoted
    gate.repair()
    gate.repair()
    assert registry(gate) == promoted
    found = [(entry.action, entry.from_version, entry.to_version) for entry in recorded(gate)]
    assert found == [("promoted", None, 1), ("repaired", 1, 3)]


def test_a_refusal_that_was_not_recorded_needs_no_repair(gate: Gate) -> None:
    gate.apply(promoting(1, None))
    with pytest.raises(FullDisk):
        replace(gate, ledger=Unwritten(gate.ledger.session, gate.ledger.warehouse)).apply(refusing(3, 1))
    gate.repair()
    assert [entry.action for entry in recorded(gate)] == ["promoted"]
    gate.apply(refusing(3, 1))
    assert [entry.action for entry in recorded(gate)] == ["promoted", "refused"]
