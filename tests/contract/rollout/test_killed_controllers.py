"""Controllers of a rollout that are killed at each step, on a real server under load."""

import multiprocessing
import signal
from collections.abc import Iterator

import pytest
from databricks.sdk import WorkspaceClient

from deployment.endpoints import endpoint_client
from deployment.gate.gate import Gate
from deployment.model_server.http.auth import read_token
from deployment.model_server.settings import ServerSettings
from deployment.rollout.state import Phase, Rollout
from tests.contract.rollout.golden_versions import GOOD, NAME, SLOWEST, RolloutRegistry, promote
from tests.contract.rollout.killed_controller import carry_out_until_killed
from tests.contract.rollout.server_under_load import PLAN, Load, at, server_of, state

KINDS = [GOOD, GOOD, SLOWEST]  # versions 1 to 3
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tests.contract.rollout.killed_controller"])  # imported once, not by each child


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> RolloutRegistry:
    return RolloutRegistry.built(tmp_path_factory.mktemp("killed"), KINDS, PLAN)


@pytest.fixture(scope="module")
def server(registry: RolloutRegistry) -> Iterator[ServerSettings]:
    with server_of(registry) as settings:
        yield settings


@pytest.fixture(scope="module")
def client(server: ServerSettings) -> WorkspaceClient:
    return endpoint_client.connect(server.url, read_token(server.token_file))


@pytest.fixture
def gate(registry: RolloutRegistry, client: WorkspaceClient) -> Iterator[Gate]:
    """The gate, when version 1 is the champion and served."""
    with registry.gate() as gate:
        promote(gate, 1)
        endpoint_client.deploy(client, NAME, NAME, 1)
        yield gate


@pytest.mark.parametrize(("version", "phase", "serves"), [(2, Phase.FINISHED, 2), (3, Phase.ROLLED_BACK, 1)])
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
