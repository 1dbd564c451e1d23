"""Places in flight and metrics are right after any outcome of any request, alone or in a batch with others."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.app import create_app
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel, LoadedModel
from deployment.model_server.settings import ServerSettings
from scoring.contract import ContractViolation, Problem
from tests.unit.model_server.in_process import ROOT, Caller, creating, with_lifespan

RAISED: dict[str, tuple[Callable[[], BaseException], int]] = {
    "refused": (lambda: ContractViolation([Problem(0, "age", "a number", "text")]), 400),
    "unavailable": (lambda: ApiError.unavailable("later"), 503),
    "error": (lambda: KeyError("secret"), 500),
    "interrupt": (lambda: KeyboardInterrupt("secret"), 500),
    "exit": (lambda: SystemExit("secret"), 500),
    "generator exit": (lambda: GeneratorExit("secret"), 500),
    "stop iteration": (lambda: StopIteration("secret"), 500),
    "cancelled": (lambda: asyncio.CancelledError("secret"), 500),
    "out of memory": (lambda: MemoryError("secret"), 500),
}
LATE, OK, MODEL_SECONDS = "late", "ok", 2.0
Request = tuple[str, str]  # endpoint, outcome


@dataclass
class Gate:
    """Holds late models until every one of them has been answered with a 504."""

    opened: threading.Event
    late: int = 0

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def observed(message: Message) -> None:
                await send(message)
                self.late -= message.get("status") == 504
                if self.late == 0:
                    self.opened.set()

            await app(scope, receive, observed)

        return watched


GATE = Gate(threading.Event())


def predict(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outcome that the first record with one asks for."""
    for record in records:
        if record["outcome"] == LATE:
            GATE.opened.wait(30)
        elif record["outcome"] != OK:
            raise RAISED[record["outcome"]][0]()
    return [{"outcome": record["outcome"]} for record in records]


@dataclass(frozen=True)
class Threaded:
    """A model that is called in a thread."""

    def predictions(self, request: ScoringRequest) -> bytes:
        return serialise({"predictions": predict(request.rows or [])})


MODELS: dict[str, LoadedModel] = {"inline": ContractModel(predict, inline_rows=64), "threaded": Threaded()}
quick = st.one_of(
    st.tuples(st.just("inline"), st.sampled_from([OK, *RAISED])),
    st.tuples(st.just("threaded"), st.sampled_from([OK, *sorted(set(RAISED) - {"refused"})])),
)
late = st.sampled_from([[]] * 9 + [[("threaded", LATE)] * 3])  # one of four threads stays free
rounds_of_requests = st.lists(
    st.tuples(st.lists(quick, min_size=1, max_size=9), late).map(lambda parts: [*parts[0], *parts[1]]),
    min_size=1,
    max_size=3,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rounds_of_requests)
def test_places_and_metrics_are_right_after_any_sequence_of_outcomes(rounds: list[list[Request]]) -> None:
    with TemporaryDirectory() as folder:
        server = ServerSettings(Path(folder), Path(folder) / "state", "unused", model_seconds=MODEL_SECONDS)
        app = create_app(server, load=lambda name, version: MODELS[name])
        asyncio.run(asyncio.wait_for(_served(app, server, rounds), 60))


async def _served(app: Any, server: ServerSettings, rounds: list[list[Request]]) -> None:
    async with with_lifespan(app):
        call = Caller(GATE(app), server.token_file.read_text().strip())
        for name in MODELS:
            await call("POST", ROOT, creating("1", model=name) | {"name": name})
            await call.settled(name)
        for each in rounds:
            GATE.late = each.count(("threaded", LATE))
            GATE.opened.clear()
            answers = await asyncio.gather(*(_ask(call, *request) for request in each))
            assert answers == [_expected(outcome) for _, outcome in each]
        assert await asyncio.gather(*(_ask(call, name, OK) for name in MODELS)) == [200, 200]
        text = (await call("GET", "/metrics")).body
        assert set(re.findall(r"model_server_requests_in_flight{.*} (\S+)", text)) == {"0.0"}
        counted = Counter[tuple[str, int]]()
        found = re.findall(r'request_seconds_count{endpoint="(\w+)".*status="(\d+)".*} (\S+)', text)
        for name, status, count in found:
            counted[name, int(status)] += int(float(count))
        sent = [request for each in rounds for request in each] + [(name, OK) for name in MODELS]
        assert counted == Counter((name, _expected(outcome)) for name, outcome in sent)


async def _ask(call: Caller, endpoint: str, outcome: str) -> int:
    response = await call(
        "POST", f"/serving-endpoints/{endpoint}/invocations", {"dataframe_records": [{"outcome": outcome}]}
    )
    assert "secret" not in str(response.body)
    return response.status


def _expected(outcome: str) -> int:
    return {OK: 200, LATE: 504}.get(outcome) or RAISED[outcome][1]


@pytest.mark.parametrize("outcome", ["interrupt", "stop iteration"])
def test_one_request_alone_gets_an_answer_too(outcome: str) -> None:
    with TemporaryDirectory() as folder:
        server = ServerSettings(Path(folder), Path(folder) / "state", "unused")
        app = create_app(server, load=lambda name, version: MODELS[name])
        asyncio.run(asyncio.wait_for(_served(app, server, [[("inline", outcome)], [("threaded", outcome)]]), 60))
