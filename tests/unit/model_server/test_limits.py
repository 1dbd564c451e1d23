"""Limits: too many concurrent requests, and models that respond too late."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import LoadedModel
from tests.unit.model_server import in_process
from tests.unit.model_server.in_process import ONE, ROOT, SCORE, Caller, FakeRegistry, creating

run_scenario = in_process.run_scenario


@dataclass(frozen=True)
class Stuck:
    """Predicts when the gate opens."""

    gate: threading.Event

    def predictions(self, request: ScoringRequest) -> bytes:
        self.gate.wait(10)
        return serialise({"predictions": [1] * request.size})


@dataclass
class StuckRegistry(FakeRegistry):
    gate: threading.Event = threading.Event()  # noqa: RUF009 - each test makes its own registry and gives it one

    def __call__(self, name: str, version: str) -> LoadedModel:
        return Stuck(self.gate)


@pytest.fixture
def registry() -> Iterator[StuckRegistry]:
    registry = StuckRegistry(gate=threading.Event())
    yield registry
    registry.gate.set()


async def loaded(call: Caller) -> None:
    await call("POST", ROOT, creating("1"))
    await call.settled()


def test_requests_beyond_the_limit_get_429_at_once(run_scenario: Any, registry: StuckRegistry) -> None:
    async def scenario(call: Caller) -> None:
        await loaded(call)
        waiting = [asyncio.create_task(call("POST", SCORE, ONE)) for _ in range(2)]
        await asyncio.sleep(0)
        refused = await call("POST", SCORE, ONE)
        assert (refused.status, refused.body["error_code"]) == (429, "RESOURCE_EXHAUSTED")
        assert refused.headers["retry-after"] == "1"
        assert (await call("GET", f"{ROOT}/e")).status == 200, "the limit does not apply to the control plane"
        registry.gate.set()
        assert [(await each).status for each in waiting] == [200, 200]
        assert (await call("POST", SCORE, ONE)).status == 200

    run_scenario(scenario, max_in_flight=2)


def test_a_late_model_gets_504_and_stays_in_flight_until_it_returns(
    run_scenario: Any, registry: StuckRegistry
) -> None:
    async def scenario(call: Caller) -> None:
        await loaded(call)
        sent: list[Any] = []
        late = asyncio.create_task(_raw(call, sent))
        async with asyncio.timeout(10):
            while len(sent) < 2:
                await asyncio.sleep(0.001)
        assert (sent[0]["status"], b"DEADLINE_EXCEEDED" in sent[1]["body"]) == (504, True)
        assert not late.done()
        assert (await call("POST", SCORE, ONE)).status == 429
        registry.gate.set()
        await late
        assert len(sent) == 2, "the late response is not sent"
        assert (await call("POST", SCORE, ONE)).status == 200

    run_scenario(scenario, max_in_flight=1, model_seconds=0.01)


async def _raw(call: Caller, sent: list[Any]) -> None:
    """Send a scoring request and collect its response messages in `sent`."""

    async def receive() -> Any:
        return {"type": "http.request", "body": serialise(ONE), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {call.token}".encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": SCORE,
        "headers": headers,
        "query_string": b"",
        "root_path": "",
    }
    await call.app(scope, receive, send)
