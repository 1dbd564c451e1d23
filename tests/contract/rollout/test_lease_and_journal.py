"""Lease and journal of rollouts in a real registry and ledger, and the commands that need no server."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployment.commands.rollouts.open_rollout import RolloutOptions, carry_out
from deployment.commands.serving.detached import NoServer
from deployment.gate.gate import Gate
from deployment.ledger.history import History
from deployment.rollout.journal import LedgerJournal, end_superseded, unfinished
from deployment.rollout.lease import SECONDS, TAG, Lease, RolloutBusy, is_held, progress_of
from deployment.rollout.limits.counts import StepCounts, VersionCounts
from deployment.rollout.progress import ProgressTags, RolloutProgress
from deployment.rollout.state import Phase, Rollout, RolloutChoice
from deployment.rollout.transitions import Act, Effect
from tests.contract.rollout.golden_versions import GOOD, NAME, RolloutRegistry, promote

STARTED = Rollout("r1", NAME, NAME, 2, 1, (10, 50), 600.0)


@pytest.fixture
def registry(tmp_path: Path) -> RolloutRegistry:
    return RolloutRegistry.built(tmp_path, [GOOD, GOOD, GOOD], {})


@pytest.fixture
def gate(registry: RolloutRegistry) -> Iterator[Gate]:
    with registry.gate() as gate:
        promote(gate, 1)
        promote(gate, 2)
        yield gate


@dataclass
class FakeClock:
    now: float = 1_000.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_second_controller_is_refused_until_the_lease_ends(gate: Gate) -> None:
    clock = FakeClock()
    first, second = (Lease(NAME, gate.client, gate.ledger, clock) for _ in range(2))
    with first:
        with (
            pytest.raises(RolloutBusy, match=rf"carried out by .* on {socket.gethostname()}, process {os.getpid()}"),
            second,
        ):
            pass
        clock.now += SECONDS / 2
        first.renew()
        clock.now += SECONDS * 0.9
        assert is_held(gate.client, NAME, clock.now), "it was renewed"
        clock.now -= 10 * SECONDS
        first.renew()
        assert not is_held(gate.client, NAME, clock.now + SECONDS + 1), "a clock that was set back lengthens no lease"
        clock.now += 10 * SECONDS
        first.renew()
        clock.now += SECONDS
        with (
            second,
            pytest.raises(RolloutBusy, match="has taken over the rollout of rolled"),
        ):
            first.renew()
    assert not is_held(gate.client, NAME, clock.now)
    with first:
        held: dict[str, Any] = json.loads(gate.client.get_registered_model(NAME).tags[TAG])
        gate.client.set_registered_model_tag(NAME, TAG, json.dumps(held | {"pid": 2**22 + 1, "token": "other"}))
        with second:
            assert is_held(gate.client, NAME, clock.now), "a process that has ended holds nothing"


def test_of_two_machines_that_find_no_lease_at_the_same_moment_one_carries_the_rollout_out(gate: Gate) -> None:
    class Meanwhile(FakeClock):
        """While the first waits, the second, which saw no lease either, writes its tag."""

        def sleep(self, seconds: float) -> None:
            self.now += seconds
            second._write()

    second = Lease(NAME, gate.client, gate.ledger, FakeClock())
    with pytest.raises(RolloutBusy, match="has taken over"), Lease(NAME, gate.client, gate.ledger, Meanwhile()):
        pass
    second.require_own()


def test_the_ledger_holds_state_intent_and_choices_and_the_champion_stays(gate: Gate) -> None:
    journal = LedgerJournal(gate)
    assert (journal.current(), journal.intent(), unfinished(gate.ledger, NAME)) == (None, None, None)
    journal.record("rollout_started", STARTED, "beside version 1")
    deployed = STARTED.at(Phase.DEPLOYED)
    journal.record("rollout_intended", STARTED, "deploy", Act(Effect.DEPLOY, deployed))
    assert (journal.current(), journal.intent()) == (STARTED, Act(Effect.DEPLOY, deployed))
    journal.record("rollout_done", deployed, "deployed")
    assert (journal.current(), journal.intent()) == (deployed, None)
    assert journal.decide(RolloutChoice.ABORT, "complaints") == deployed
    decided = journal.decision(deployed)
    assert decided is not None and (decided.choice, decided.reason) == (RolloutChoice.ABORT, "complaints")
    assert journal.current() == deployed, "a choice has no state of its own"
    failed = deployed.failed("aborted: complaints").at(Phase.FAILED, decided=decided.number)
    journal.record("rollout_failed", failed, "aborted")
    assert journal.decision(failed) is None
    assert journal.return_champion(failed) == ""
    journal.record("rollout_ended", failed.at(Phase.ROLLED_BACK), "rolled back")
    assert (journal.champion(), unfinished(gate.ledger, NAME)) == (1, None)
    assert (journal.failure_of(2), journal.failure_of(3)) == ("aborted: complaints", "")
    history = History(gate.ledger.entries(NAME))
    assert (history.champion, history.rollback_stack) == (1, [1])
    assert gate.client.get_model_version(NAME, "2").tags["rollout"] == "rolled_back: aborted: complaints"
    assert journal.decide(RolloutChoice.EXTEND, "nothing is in progress") is None


def test_a_rollback_by_a_person_ends_an_open_rollout(gate: Gate) -> None:
    journal = LedgerJournal(gate)
    journal.record("rollout_started", STARTED, "beside version 1")
    end_superseded(gate)
    assert unfinished(gate.ledger, NAME) == STARTED, "its version is the champion"
    gate.rollback(1, "complaints")
    end_superseded(gate)
    last = journal.current()
    assert last is not None and (last.phase, last.reason) == (Phase.SUPERSEDED, "version 1 is the champion now")


def test_progress_is_kept_in_the_registry_within_the_limits_of_unity_catalog(gate: Gate) -> None:
    bounds = [5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 1.2e5, 3e5, 6e5]
    million = VersionCounts(999_999, 99_999, 99_999, {**dict.fromkeys(bounds, 999_999), float("inf"): 999_999})
    counts = StepCounts({1: million, 2: million}, {1: million, 2: million}, 1.79e9)
    tags = ProgressTags(gate.client, NAME)
    tags.save(STARTED, RolloutProgress.of(STARTED, counts, 5.0, "w" * 300), counts)
    assert tags.counts(STARTED) == counts
    assert tags.counts(STARTED.at(Phase.BAKING, step=1)) == StepCounts(), "another step begins at zero"
    stored = gate.client.get_registered_model(NAME).tags
    assert max(len(stored[tag]) for tag in ("rollout_progress", "rollout_counts")) <= 1_000
    shown = progress_of(gate.client, NAME)
    assert shown is not None and (shown.version, shown.requests, shown.owner) == (2, 999_999, "")
    tags.clear()
    assert progress_of(gate.client, NAME) is None


def test_a_rollout_without_a_server_names_the_command_that_starts_one(gate: Gate, registry: RolloutRegistry) -> None:
    with pytest.raises(NoServer, match=f"serve --use-case {NAME} --detach"):
        carry_out(gate, registry.settings, RolloutOptions())
