"""Rollouts on a real server under load, with seconds for minutes: good and bad versions, and killed controllers."""

import asyncio
import multiprocessing
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient

from benchmarks.harness.load import count
from deployment.commands.rollouts.open_rollout import RolloutOptions, carry_out
from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.rollout.state import Phase, Rollout
from lakehouse.settings import PROJECT
from tests.contract.rollout.golden_versions import (
    ERRING,
    GOOD,
    NAME,
    RECORD,
    SLOW,
    WRONG,
    RolloutRegistry,
    promote,
)
from tests.contract.rollout.killed_controller import carry_out_until_killed
from tests.ports import free_port

PLAN = {
    "steps": [50], "bake_minutes": 0.06, "warm_up_seconds": 2.5, "min_requests": 60, "poll_seconds": 0.2,
    "max_extensions": 100,
}  # fmt: skip
PATIENT = PLAN | {"min_requests": 600}  # until errors on 2 % of the requests are seen for sure
KINDS = [GOOD, GOOD, ERRING, SLOW, WRONG, GOOD, SLOW, GOOD]  # versions 1 to 8
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.contract.rollout.killed_controller"])  # imported once, not by each child


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> RolloutRegistry:
    return RolloutRegistry.built(tmp_path_factory.mktemp("rolled"), KINDS, PLAN)


@pytest.fixture(scope="module")
def server(registry: RolloutRegistry) -> Iterator[ServerSettings]:
    settings = ServerSettings(PROJECT, registry.root / ".serving", registry.uri, port=free_port())
    server_process.serve_detached(settings)
    yield settings
    server_process.stop(settings)


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> WorkspaceClient:
    return endpoint_client.connect(server.url, read_token(server.token_file))


@pytest.fixture
def gate(registry: RolloutRegistry) -> Iterator[Gate]:
    with registry.gate() as gate:
        yield gate


def patient(gate: Gate) -> Gate:
    return replace(gate, use_case=RolloutRegistry(Path(), "", PATIENT).use_case)


@dataclass
class Load:
    """Requests over one connection, until the block ends; the responses are counted by status and served entity.

    More connections would start more processes of a version while it is watched.
    """

    settings: ServerSettings
    responses: Counter[tuple[int, str]] = field(default_factory=Counter)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def failed(self) -> set[str]:
        """Served entities of the failed requests; empty for a request that reached none."""
        return {served for (status, served) in self.responses if status != 200}

    def _send(self) -> None:
        url = f"{self.settings.url}/serving-endpoints/{NAME}/invocations"
        headers = {"authorization": f"Bearer {read_token(self.settings.data_token_file)}"}
        turns = iter(lambda: 1 if not self._ended.is_set() else 0, 0)
        found = asyncio.run(count(url, headers, {"dataframe_records": [RECORD]}, turns, 1))
        for (status, served, _), number in found.items():
            self.responses[status, served] += number


def roll_out(
    gate: Gate, registry: RolloutRegistry, client: WorkspaceClient, version: int
) -> tuple[Rollout, list[str]]:
    promote(gate, version)
    lines: list[str] = []
    ended = carry_out(gate, registry.settings, RolloutOptions(tell=lines.append), client)
    assert ended is not None
    return ended, lines


def state(gate: Gate, client: WorkspaceClient) -> dict[str, Any]:
    """Traffic, champion, aliases and tags."""
    model = gate.client.get_registered_model(NAME)
    stages = {
        int(each.version): each.tags.get("stage") for each in gate.client.search_model_versions(f"name='{NAME}'")
    }
    return {
        "traffic": endpoint_client.served_versions(client, NAME),
        "champion": int(model.aliases["champion"]),
        "production": [version for version, stage in stages.items() if stage == "Production"],
        "ledger": gate.ledger.entries(NAME)[-1].to_version,
        "left": sorted(tag for tag in model.tags if tag.startswith("rollout")),
    }


def at(version: int) -> dict[str, Any]:
    return {
        "traffic": {version: 100}, "champion": version, "production": [version], "ledger": version, "left": [],
    }  # fmt: skip


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


@pytest.mark.parametrize(("version", "phase", "serves"), [(6, Phase.FINISHED, 6), (7, Phase.ROLLED_BACK, 6)])
def test_a_controller_that_is_killed_at_each_step_is_continued(  # noqa: PLR0917  (fixtures)
    gate: Gate,
    registry: RolloutRegistry,
    client: WorkspaceClient,
    server: ServerSettings,
    version: int,
    phase: Phase,
    serves: int,
) -> None:
    promote(gate, version)
    exits: list[int | None] = []
    arguments = (registry, server.url, read_token(server.token_file))
    with Load(server) as load:
        while not exits or exits[-1] != 0:
            assert len(exits) < 30, exits
            before = {"before_record": len(exits) % 2 == 0}
            child = FORK.Process(target=carry_out_until_killed, args=arguments, kwargs=before)
            child.start()
            child.join()
            exits.append(child.exitcode)
    killed = exits.count(-signal.SIGKILL)
    assert killed == len(exits) - 1 >= 8, exits
    entries = [entry for entry in gate.ledger.entries(NAME) if entry.version == version and entry.rollout]
    assert Rollout.from_json(entries[-1].rollout).phase is phase
    assert state(gate, client) == at(serves)
    assert load.failed() <= {f"{NAME}-{version}"} if phase is Phase.ROLLED_BACK else load.failed() == set()


def test_a_shadow_gets_copies_and_answers_nobody_before_its_first_step(
    gate: Gate, registry: RolloutRegistry, client: WorkspaceClient, server: ServerSettings
) -> None:
    endpoint_client.deploy(client, NAME, NAME, 2)
    shadowed = replace(gate, use_case=RolloutRegistry(Path(), "", PLAN | {"shadow": True, "steps": []}).use_case)
    with Load(server) as load:
        ended, lines = roll_out(shadowed, registry, client, 8)
        served = {entity for _, entity in load.responses}
    assert ended.phase is Phase.FINISHED, "\n".join(lines)
    assert "version 8: gets copies of the requests for 0.06 min; version 2 answers" in lines
    assert any("copies it answered 0 (0.0%) differently; 0 failed" in line for line in lines), "\n".join(lines)
    assert load.failed() == set()
    assert served <= {f"{NAME}-2", f"{NAME}-8"}
    assert not client.serving_endpoints.get(NAME).tags, "nothing is mirrored any more"
