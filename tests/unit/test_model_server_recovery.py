"""What becomes of endpoints when the disk is full, and when a restarted server cannot load what it served."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployment.model_server.control_requests import ConfigInput, CreateInput, parse
from deployment.model_server.endpoints import Endpoint
from deployment.model_server.fleet import Fleet
from deployment.model_server.store import EndpointStore
from tests.unit.scenes import Echo, config, creating, play

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
