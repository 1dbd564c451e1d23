"""The application in process with an ASGI client. A scenario runs between its startup and its shutdown."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from deployment.model_server.app import create_app
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel, LoadedModel
from deployment.model_server.models.loader import ModelNotLoaded
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.settings import ServerSettings
from scoring.contract import ContractViolation, Problem

ROOT = "/api/2.0/serving-endpoints"
SCORE = "/serving-endpoints/e/invocations"
ONE = {"dataframe_records": [{"age": 41}]}
JSON = "application/json"


@dataclass
class FakeRegistry:
    """Returns models by version. A version with a gate finishes loading when the gate opens."""

    gates: dict[str, threading.Event] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)

    def __call__(self, name: str, version: str) -> LoadedModel:
        if version in self.gates and not self.gates[version].wait(10):
            raise ModelNotLoaded("its gate never opened")
        if name == "broken":
            raise ModelNotLoaded("no weights")
        self.loads.append(version)
        return {"strict": ContractModel(_refuse), "defect": ContractModel(_defect)}.get(name, Echo(version))


@dataclass(frozen=True)
class Echo:
    version: str

    def predictions(self, request: ScoringRequest) -> bytes:
        return serialise({"predictions": [self.version] * request.size})


def _refuse(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    raise ContractViolation([Problem(0, "age", "a whole number", "'41'"), Problem(1, "age", "a value", "none")])


def _defect(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    raise KeyError("a secret of the model")


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Caller:
    """Calls an ASGI application like an HTTP server."""

    app: ASGIApp
    token: str

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        named = {"authorization": f"Bearer {self.token}", "content-type": JSON} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        parts = [raw[at : at + 65536] for at in range(0, len(raw), 65536)] or [b""]
        incoming: Iterator[Message] = iter(
            {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
            for number, part in enumerate(parts)
        )
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(0)  # like a real server, yield to the event loop
            if (message := next(incoming, None)) is None:
                await asyncio.Event().wait()
            return message or {}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items() if value],
        }  # fmt: skip
        await self.app(scope, receive, send)
        received = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(part["body"] for part in sent[1:]).decode()
        is_json = received.get("content-type") == JSON
        return Response(sent[0]["status"], received, json.loads(text) if is_json else text)

    async def settled(self, name: str = "e") -> dict[str, Any]:
        """The endpoint, once nothing is loading any more."""
        async with asyncio.timeout(60):
            while True:
                endpoint: dict[str, Any] = (await self("GET", f"{ROOT}/{name}")).body
                entities = endpoint["config"].get("served_entities", [])
                loading = any(entity["state"]["deployment"] == "DEPLOYMENT_RECOVERING" for entity in entities)
                if endpoint["state"]["config_update"] != "IN_PROGRESS" and not loading:
                    return endpoint
                await asyncio.sleep(0.001)


Scenario = Callable[[Caller], Awaitable[None]]


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def run_scenario(tmp_path: Path, registry: FakeRegistry) -> Callable[[Scenario], None]:
    """Run a scenario against an application with this test's state folder. Each call is a restart."""

    def run(scenario: Scenario, **limits: Any) -> None:
        settings = ServerSettings(tmp_path, tmp_path / "state", "unused", **limits)
        draws = iter(number / 100 for number in range(10_000))
        app = create_app(
            settings,
            load=registry,
            find_schema=lambda name, version: VersionSchema(registered=1_699_999_940.5),
            now=lambda: 1_700_000_000.5,
            draw=lambda: next(draws) % 1,
        )
        asyncio.run(_run(app, lambda: scenario(Caller(app, settings.token_file.read_text().strip()))))

    return run


async def _run(app: ASGIApp, scenario: Callable[[], Awaitable[None]]) -> None:
    async with with_lifespan(app):
        await scenario()


@asynccontextmanager
async def with_lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """The application between its startup and its shutdown."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    started, ended = asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        {"lifespan.startup.complete": started, "lifespan.shutdown.complete": ended}[message["type"]].set()

    async def live() -> None:
        await app({"type": "lifespan"}, incoming.get, send)

    life = asyncio.create_task(live())
    await incoming.put({"type": "lifespan.startup"})
    await started.wait()
    try:
        yield
    finally:
        await incoming.put({"type": "lifespan.shutdown"})
        await ended.wait()
        await life


def config(*versions: str, model: str = "m", traffic: Mapping[str, int] | None = None) -> dict[str, Any]:
    shares = traffic or {version: 100 // len(versions) for version in versions}
    return {
        "served_entities": [{"entity_name": model, "entity_version": version} for version in versions],
        "traffic_config": {
            "routes": [
                {"served_entity_name": f"{model}-{version}", "traffic_percentage": share}
                for version, share in shares.items()
            ]
        },
    }


def creating(*versions: str, **kwargs: Any) -> dict[str, Any]:
    return {"name": "e", "config": config(*versions, **kwargs)}
