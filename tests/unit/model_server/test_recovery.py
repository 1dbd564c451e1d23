"""Endpoints when the disk is full, and when a restarted server cannot load their versions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.endpoints.control_requests import ConfigInput, CreateInput, parse
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.endpoints.store import EndpointStore
from deployment.model_server.models.contract_model import LoadedModel
from deployment.model_server.models.loader import ModelNotLoaded
from tests.unit.model_server.in_process import (
    ONE,
    ROOT,
    SCORE,
    Caller,
    Echo,
    FakeRegistry,
    config,
    creating,
    run_scenario,
)

__all__ = ["run_scenario"]  # a fixture


class FullDisk(EndpointStore):
    """A store whose disk is full after the first write, until `room` is set."""

    writes = 0
    room = False

    def write(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.writes += 1
        if self.writes > 1 and not self.room:
            raise OSError(28, "No space left on device")
        super().write(dict(endpoints))


async def settled(endpoints: LiveEndpoints) -> Endpoint:
    async with asyncio.timeout(10):
        while endpoints.get("e").update == "IN_PROGRESS":
            await asyncio.sleep(0.001)
    return endpoints.get("e")


def test_an_endpoint_becomes_ready_although_the_disk_is_full(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = FullDisk(tmp_path / "endpoints.json")
        endpoints = LiveEndpoints(store, lambda name, version: Echo(version), lambda: 1.0)
        await endpoints.create(parse(CreateInput, creating("1")))
        assert (await settled(endpoints)).ready
        assert endpoints.traffic("e").models["m-1"] == Echo("1")
        with pytest.raises(OSError, match="No space"):
            await endpoints.update("e", parse(ConfigInput, config("2")))
        store.room = True
        await endpoints.update("e", parse(ConfigInput, config("2")))
        await settled(endpoints)
        assert store.read()["e"] == endpoints.get("e")

    asyncio.run(scenario())


@dataclass
class Losing(FakeRegistry):
    """A registry that loses versions."""

    lost: set[str] = field(default_factory=set)

    def __call__(self, name: str, version: str) -> LoadedModel:
        self.loads.append(version)
        if version in self.lost:
            raise ModelNotLoaded("its files are gone")
        return Echo(version)


@pytest.fixture
def registry() -> Losing:
    return Losing()


def test_a_restarted_server_that_cannot_load_a_version_is_not_ready(run_scenario: Any, registry: Losing) -> None:
    async def before(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        registry.lost = {"1"}

    async def after(call: Caller) -> None:
        await call.settled()
        ready = await call("GET", "/ready")
        assert (ready.status, ready.body) == (503, {"status": "failed"})
        assert (await call("GET", "/live")).status == 200
        refused = await call("POST", SCORE, ONE)
        assert (refused.status, refused.body["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert "its files are gone" in refused.body["message"] and refused.headers["retry-after"] == "10"
        await call("PUT", f"{ROOT}/e/config", config("2"))
        await call.settled()
        assert (await call("GET", "/ready")).status == 200
        assert (await call("POST", SCORE, ONE)).body == {"predictions": ["2"]}

    run_scenario(before)
    run_scenario(after)


def test_a_version_that_failed_to_load_again_gets_503_not_404(run_scenario: Any, registry: Losing) -> None:
    async def before(call: Caller) -> None:
        await call("POST", ROOT, creating("1", "2"))
        await call.settled()
        registry.lost = {"2"}

    async def after(call: Caller) -> None:
        await call.settled()
        place = "/serving-endpoints/e/served-models"
        responses = [(await call("POST", f"{place}/m-{version}/invocations", ONE)).status for version in (1, 2, 3)]
        assert responses == [200, 503, 404]
        assert (await call("POST", SCORE, ONE)).status == 200, "the loaded version receives the traffic"
        assert (await call("GET", "/ready")).status == 503

    run_scenario(before)
    run_scenario(after)


def test_an_endpoint_that_was_never_ready_does_not_affect_readiness(run_scenario: Any, registry: Losing) -> None:
    registry.lost = {"1"}

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        assert (await call("GET", "/ready")).status == 200
        assert (await call("POST", SCORE, ONE)).status == 400

    run_scenario(scenario)
    run_scenario(scenario)


def restarted(tmp_path: Path, registry: Losing, scenario: Callable[[LiveEndpoints], Awaitable[None]]) -> None:
    """Run a scenario after a restart: versions 1 and 2 were served, and version 2 is lost."""

    async def run() -> None:
        store = EndpointStore(tmp_path / "endpoints.json")
        earlier = LiveEndpoints(store, registry, lambda: 1.0)
        await earlier.create(parse(CreateInput, creating("1", "2")))
        await settled(earlier)
        registry.lost = {"2"}
        endpoints = LiveEndpoints(store, registry, lambda: 2.0, retry_pause=0.01)
        endpoints.restore(store.read())
        while not endpoints.failed:
            await asyncio.sleep(0.001)
        await scenario(endpoints)
        await endpoints.close()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_failed_load_after_a_restart_is_retried_until_it_succeeds(tmp_path: Path, registry: Losing) -> None:
    async def scenario(endpoints: LiveEndpoints) -> None:
        assert endpoints.traffic("e").share == 50
        while registry.loads.count("2") < 4:
            await asyncio.sleep(0.001)
        registry.lost = set()
        while endpoints.failed:
            await asyncio.sleep(0.001)
        assert (endpoints.get("e").ready, endpoints.traffic("e").share) == (True, 100)
        loads = list(registry.loads)
        await asyncio.sleep(0.1)
        assert registry.loads == loads and loads.count("1") == 2, "loaded versions are not loaded again"

    restarted(tmp_path, registry, scenario)


@pytest.mark.parametrize("change", ["update", "failing update", "delete"])
def test_a_change_of_the_endpoint_ends_or_restarts_the_retries(tmp_path: Path, registry: Losing, change: str) -> None:
    async def scenario(endpoints: LiveEndpoints) -> None:
        if change == "delete":
            await endpoints.delete("e")
        else:
            registry.lost = {"2", "3"} if change == "failing update" else {"2"}
            await endpoints.update("e", parse(ConfigInput, config("3")))
            assert (await settled(endpoints)).update == ("UPDATE_FAILED" if "failing" in change else "NOT_UPDATING")
        loads = registry.loads.count("2")
        await asyncio.sleep(0.1)
        assert (registry.loads.count("2") > loads) is (change == "failing update")
        assert endpoints.failed is (change == "failing update")

    restarted(tmp_path, registry, scenario)
