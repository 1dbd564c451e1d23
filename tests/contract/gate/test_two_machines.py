"""Two machines that change one champion at the same time, at the moments where they can meet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger, LedgerBroken
from deployment.ledger.folder import FolderLedger
from deployment.ledger.registry import RegistryLedger
from deployment.ledger.storage import PromotionBusy
from lakehouse.tables.warehouse import Warehouse
from tests.contract.gate.commands import promoting
from tests.contract.gate.consistency import BEFORE, require_consistent
from tests.contract.gate.test_ledger import FIRST
from tests.contract.people import NAME, Environment, actions, champion
from training.registry.versions import CHAMPION


@pytest.fixture
def environment(with_champion: Environment, tmp_path: Path) -> Environment:
    return with_champion.copied(tmp_path)


@dataclass(frozen=True)
class Meeting:
    """Storage of a ledger in which something happens on another machine at each write."""

    inner: Any
    happens: Callable[[], object]
    before: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def add(self, row: Mapping[str, Any]) -> None:
        if self.before:
            self.happens()
        self.inner.add(row)
        if not self.before:
            self.happens()


def meeting(gate: Gate, happens: Callable[[], object], *, before: bool = False) -> Gate:
    return replace(gate, ledger=Ledger(Meeting(gate.ledger.storage, happens, before)))


def test_a_promotion_that_another_command_keeps_out_of_the_ledger_moves_the_alias_back(gate: Gate) -> None:
    def busy() -> None:
        raise PromotionBusy.by("it wrote the same ledger entry")

    with pytest.raises(PromotionBusy, match="it wrote the same ledger entry"):
        meeting(gate, busy, before=True).apply(promoting(4, 2))
    assert champion(gate) == 2
    require_consistent(gate, 2)
    assert actions(gate) == BEFORE


def test_the_writer_of_an_entry_sets_the_alias_that_another_machine_moved_meanwhile(gate: Gate) -> None:
    meeting(gate, lambda: gate.client.set_registered_model_alias(NAME, CHAMPION, "3")).apply(promoting(4, 2))
    assert champion(gate) == 4
    require_consistent(gate, 4)
    assert actions(gate) == [*BEFORE, ("promoted", 2, 4)]


def test_the_registry_keeps_the_end_of_a_chain_that_another_machine_continued(gate: Gate) -> None:
    meeting(gate, lambda: gate.rollback(None, "complaints")).apply(promoting(4, 2))
    require_consistent(gate, 2)
    assert actions(gate) == [*BEFORE, ("promoted", 2, 4), ("rolled_back", 4, 2)]


@pytest.fixture
def shared(environment: Environment, tmp_path: Path) -> RegistryLedger:
    uri = environment.settings.tracking_uri
    return RegistryLedger(MlflowClient(uri), uri, "ledger", FolderLedger(Warehouse(tmp_path / "other")))


ROW = {**vars(FIRST), "digest": FIRST.digest}


class Repeating:
    """Client whose server answers with an error after it created a run; so the client creates it once more."""

    def __init__(self, client: MlflowClient) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def create_run(self, *arguments: Any, **named: Any) -> Any:
        self.client.create_run(*arguments, **named)
        return self.client.create_run(*arguments, **named)


def test_an_entry_whose_request_was_repeated_is_written_once(shared: RegistryLedger) -> None:
    client: Any = Repeating(shared.client)
    replace(shared, client=client).add(ROW)
    assert Ledger(shared).entries(FIRST.use_case) == [FIRST]


def test_a_proposal_that_somebody_ended_does_not_stop_the_ledger_for_good(shared: RegistryLedger) -> None:
    experiment = shared.client.create_experiment(shared.experiment)
    tags = {"ledger.use_case": FIRST.use_case, "ledger.number": "1", "ledger.entry": "{}"}
    proposal = shared.client.create_run(experiment, start_time=1, tags=tags)
    shared.client.set_terminated(proposal.info.run_id, "KILLED")
    shared.add(ROW)
    assert Ledger(shared).entries(FIRST.use_case) == [FIRST]


def test_an_entry_of_a_later_release_is_refused_and_named(shared: RegistryLedger) -> None:
    shared.add({**ROW, "approved_twice": True, "digest": "0" * 64})
    with pytest.raises(LedgerBroken, match="entry 1 hashes to"):
        Ledger(shared).entries(FIRST.use_case)
