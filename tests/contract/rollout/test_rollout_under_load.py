"""Rollouts on a real server under load, with seconds for minutes: good and bad versions, shadows and restarts."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.rollout.state import Phase
from tests.contract.rollout.golden_versions import (
    ERRING,
    GOOD,
    NAME,
    SLOW,
    WRONG,
    RolloutRegistry,
    promote,
)
from tests.contract.rollout.server_under_load import PLAN, Load, at, roll_out, server_of, state

PATIENT = PLAN | {"min_requests": 600}  # until errors on 2 % of the requests are seen for sure
KINDS = [GOOD, GOOD, ERRING, SLOW, WRONG, *[GOOD] * 5]  # versions 1 to 10


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> RolloutRegistry:
    return RolloutRegistry.built(tmp_path_factory.mktemp("rolled"), KINDS, PLAN)


@pytest.fixture(scope="module")
def server(registry: RolloutRegistry) -> Iterator[ServerSettings]:
    with server_of(registry) as settings:
        yield settings


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> WorkspaceClient:
    return endpoint_client.connect(server.url, read_token(server.token_file))


@pytest.fixture
def gate(registry: RolloutRegistry) -> Iterator[Gate]:
    with registry.gate() as gate:
        yield gate


def patient(gate: Gate) -> Gate:
    return replace(gate, use_case=RolloutRegistry(Path(), "", PATIENT).use_case)


def test_versions_are_rolled_out_or_back_without_a_failed_request(
    gate: Gate, registry: RolloutRegistry, client: WorkspaceClient, server: ServerSettings
) -> None:
    first, lines = roll_out(gate, registry, client, 1)
    assert (first.phase, first.stable) == (Phase.FINISHED, None), "\n".join(lines)
    assert lines[1] == "version 1: loaded, with all traffic: the endpoint had no earlier version"
    with Load(server) as load:
        good, lines = roll_out(gate, registry, client, 2)
        assert (good.phase, good.reason) == (Phase.FINISHED, ""), "\n".join(lines)
        assert [line for line in lines if "extended" not in line] == [
            f"version 2: rollout to the endpoint '{NAME}' started",
            "version 2: loaded beside version 1, without traffic",
            "version 2: reproduces its golden rows on the endpoint",
            "version 2: 50 % of the traffic for 0.06 min (step 1 of 1)",
            "version 2: all traffic: the rollout is finished",
        ]
        assert state(gate, client) == at(2)
    assert load.failed() == set()
    assert load.responses[200, f"{NAME}-2"] > PLAN["min_requests"]  # type: ignore[operator]

    for version, reason in ((3, "of its requests failed; of the stable version"), (4, "of its requests took longer")):
        with Load(server) as load:
            bad, lines = roll_out(patient(gate), registry, client, version)
        assert bad.phase is Phase.ROLLED_BACK, "\n".join(lines)
        assert reason in bad.reason, "\n".join(lines)
        assert state(gate, client) == at(2)
        assert lines[-1] == f"version {version}: version 2 is the champion again"
        assert load.failed() <= {f"{NAME}-3"}, "only the version with a defect failed, and only its own share"
        marked = gate.client.get_model_version(NAME, str(version)).tags
        assert marked["rollout"] == f"rolled_back: {bad.reason}"[:250]
        assert marked["stage"] == "Archived"
    with Load(server) as load:
        wrong, lines = roll_out(gate, registry, client, 5)
    assert wrong.phase is Phase.ROLLED_BACK
    assert "for its golden request" in wrong.reason
    assert state(gate, client) == at(2)
    assert load.failed() == set()
    assert {served for _, served in load.responses} == {f"{NAME}-2"}, "it never answered"
    history = [(entry.action, entry.version) for entry in gate.ledger.entries(NAME)][-9:]
    assert history == [
        ("promoted", 5), ("rollout_started", 5), ("rollout_intended", 5), ("rollout_failed", 5),
        ("rollout_intended", 5), ("rollout_done", 5), ("rollout_intended", 5), ("rolled_back", 2),
        ("rollout_ended", 5),
    ]  # fmt: skip


def test_a_shadow_gets_copies_and_answers_nobody_before_its_first_step(
    gate: Gate, registry: RolloutRegistry, client: WorkspaceClient, server: ServerSettings
) -> None:
    endpoint_client.deploy(client, NAME, NAME, 2)
    shadowed = replace(gate, use_case=RolloutRegistry(Path(), "", PLAN | {"shadow": True, "steps": []}).use_case)
    with Load(server) as load:
        ended, lines = roll_out(shadowed, registry, client, 6)
        served = {entity for _, entity in load.responses}
    assert ended.phase is Phase.FINISHED, "\n".join(lines)
    assert "version 6: gets copies of the requests for 0.06 min; version 2 answers" in lines
    assert any("copies it answered 0 (0.0%) differently; 0 failed" in line for line in lines), "\n".join(lines)
    assert load.failed() == set()
    assert served <= {f"{NAME}-2", f"{NAME}-6"}
    assert not client.serving_endpoints.get(NAME).tags, "nothing is mirrored any more"


def test_a_champion_that_moves_twice_during_one_bake_is_rolled_out_beside_the_version_that_answers(
    gate: Gate, registry: RolloutRegistry, client: WorkspaceClient, server: ServerSettings
) -> None:
    endpoint_client.deploy(client, NAME, NAME, 6)
    moves = {"version 7: 50 % of the traffic": (8, 9), "version 9: 50 % of the traffic": (7, 8)}

    def moved(line: str) -> None:
        for begins in [each for each in moves if line.startswith(each)]:
            for version in moves.pop(begins):
                promote(gate, version)

    with Load(server) as load:
        ended, lines = roll_out(gate, registry, client, 7, then=moved)
    assert (ended.version, ended.phase, ended.stable) == (8, Phase.FINISHED, 6), "\n".join(lines)
    assert [line for line in lines if "rollout ended" in line] == [
        "version 7: rollout ended: version 9 is the champion now",
        "version 9: rollout ended: version 8 is the champion now",
    ]
    assert state(gate, client) == at(8)
    assert load.failed() == set()


def test_a_server_that_starts_again_during_a_bake_loses_no_rollout(
    gate: Gate, registry: RolloutRegistry, client: WorkspaceClient, server: ServerSettings
) -> None:
    def killed() -> None:
        running = server_process.running(server)
        assert running
        os.kill(int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text()), signal.SIGKILL)

    def stopped() -> None:
        server_process.stop(server)
        server_process.serve_detached(server)

    for version, disturb in ((9, killed), (10, stopped)):
        person = threading.Thread(target=disturb)

        def disturbed(line: str, person: threading.Thread = person) -> None:
            if "50 % of the traffic" in line:
                person.start()

        with Load(server) as load:
            ended, lines = roll_out(gate, registry, client, version, then=disturbed)
            person.join()
        assert ended.phase is Phase.FINISHED, "\n".join(lines)
        assert state(gate, client) == at(version)
        assert load.refused() == set()
        assert load.repeated > 0, "the server was away"
