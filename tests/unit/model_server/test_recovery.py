"""What becomes of endpoints when the disk is full, and when a restarted server cannot load what it served."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.endpoints.control_requests import ConfigInput, CreateInput, parse
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.endpoints.store import EndpointStore
from deployment.model_server.models.loader import LoadedModel, ModelNotLoaded
from tests.unit.model_server.scenes import ONE, ROOT, SCORE, Caller, Echo, Shelf, config, creating, play

__all__ = ["play"]  # a fixture


class FullDisk(EndpointStore):
    """Cannot be written from its second write on, until there is room."""

    writes = 0
    room = False

    def write(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.writes += 1
        if self.writes > 1 and not self.room:
            raise OSError(28, "No space left on device")
        super().write(dict(endpoints))


async def settled(fleet: Fleet) -> Endpoint:
    async with asyncio.timeout(10):
        while fleet.get("e").update == "IN_PROGRESS":
            await asyncio.sleep(0.001)
    return fleet.get("e")


def test_an_endpoint_is_ready_though_the_disk_does_not_take_it(tmp_path: Path) -> None:
    async def scene() -> None:
        store = FullDisk(tmp_path / "endpoints.json")
        fleet = Fleet(store, lambda name, version: Echo(version), lambda: 1.0)
        await fleet.create(parse(CreateInput, creating("1")))
        assert (await settled(fleet)).ready
        assert fleet.traffic("e").models["m-1"] == Echo("1")
        with pytest.raises(OSError, match="No space"):
            await fleet.update("e", parse(ConfigInput, config("2")))
        store.room = True
        await fleet.update("e", parse(ConfigInput, config("2")))
        await settled(fleet)
        assert store.read()["e"] == fleet.get("e")

    asyncio.run(scene())


@dataclass
class Losing(Shelf):
    """A shelf from which versions are lost."""

    lost: set[str] = field(default_factory=set)

    def __call__(self, name: str, version: str) -> LoadedModel:
        self.loads.append(version)
        if version in self.lost:
            raise ModelNotLoaded("its files are gone")
        return Echo(version)


@pytest.fixture
def shelf() -> Losing:
    return Losing()


def test_a_server_that_cannot_load_what_it_served_is_not_ready(play: Any, shelf: Losing) -> None:
    async def before(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        shelf.lost = {"1"}

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

    play(before)
    play(after)


def test_a_version_that_was_not_loaded_again_is_not_unknown(play: Any, shelf: Losing) -> None:
    async def before(call: Caller) -> None:
        await call("POST", ROOT, creating("1", "2"))
        await call.settled()
        shelf.lost = {"2"}

    async def after(call: Caller) -> None:
        await call.settled()
        place = "/serving-endpoints/e/served-models"
        answers = [(await call("POST", f"{place}/m-{version}/invocations", ONE)).status for version in (1, 2, 3)]
        assert answers == [200, 503, 404]
        assert (await call("POST", SCORE, ONE)).status == 200, "the rest has the traffic"
        assert (await call("GET", "/ready")).status == 503

    play(before)
    play(after)


def test_an_endpoint_that_never_answered_is_no_reason_not_to_be_ready(play: Any, shelf: Losing) -> None:
    shelf.lost = {"1"}

    async def scene(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        assert (await call("GET", "/ready")).status == 200
        assert (await call("POST", SCORE, ONE)).status == 400

    play(scene)
    play(scene)


def restarted(tmp_path: Path, shelf: Losing, scene: Callable[[Fleet], Awaitable[None]]) -> None:
    """Play a scene with a fleet that served versions 1 and 2 before a restart and has lost version 2."""

    async def run() -> None:
        store = EndpointStore(tmp_path / "endpoints.json")
        earlier = Fleet(store, shelf, lambda: 1.0)
        await earlier.create(parse(CreateInput, creating("1", "2")))
        await settled(earlier)
        shelf.lost = {"2"}
        fleet = Fleet(store, shelf, lambda: 2.0, pause=0.01)
        fleet.restore(store.read())
        while not fleet.failed:
            await asyncio.sleep(0.001)
        await scene(fleet)
        await fleet.close()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_what_was_not_loaded_again_is_tried_again_until_it_is(tmp_path: Path, shelf: Losing) -> None:
    async def scene(fleet: Fleet) -> None:
        assert fleet.traffic("e").share == 50
        while shelf.loads.count("2") < 4:
            await asyncio.sleep(0.001)
        shelf.lost = set()
        while fleet.failed:
            await asyncio.sleep(0.001)
        assert (fleet.get("e").ready, fleet.traffic("e").share) == (True, 100)
        loads = list(shelf.loads)
        await asyncio.sleep(0.1)
        assert shelf.loads == loads and loads.count("1") == 2, "what is loaded is not loaded again"

    restarted(tmp_path, shelf, scene)


@pytest.mark.parametrize("change", ["update", "failing update", "delete"])
def test_a_change_ends_the_tries_or_begins_them_anew(tmp_path: Path, shelf: Losing, change: str) -> None:
    async def scene(fleet: Fleet) -> None:
        if change == "delete":
            await fleet.delete("e")
        else:
            shelf.lost = {"2", "3"} if change == "failing update" else {"2"}
            await fleet.update("e", parse(ConfigInput, config("3")))
            assert (await settled(fleet)).update == ("UPDATE_FAILED" if "failing" in change else "NOT_UPDATING")
        tries = shelf.loads.count("2")
        await asyncio.sleep(0.1)
        assert (shelf.loads.count("2") > tries) is (change == "failing update")
        assert fleet.failed is (change == "failing update")

    restarted(tmp_path, shelf, scene)
