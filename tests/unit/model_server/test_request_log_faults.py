"""Faults of the request log: rows that cannot be created, unreachable tables, endpoints that change."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.models.contract_model import ContractModel, LoadedModel
from deployment.model_server.request_log.payload_table import NO_RULE, Exchange, LogRule
from deployment.model_server.request_log.request_log import MAX_QUEUED_ROWS, RequestLog
from tests.unit.model_server.in_process import ONE, ROOT, SCORE, Caller, FakeRegistry, config, creating, run_scenario

__all__ = ["run_scenario"]  # a fixture
GOOD, BAD = InferenceTable("main", "logs", "good"), InferenceTable("main", "logs", "bad")
HIDE = LogRule(redact=frozenset({"age", "job"}))
SECRET = {"dataframe_records": [{"age": 41, "job": "SECRETJOB"}]}
GATEWAY = {"catalog_name": "main", "schema_name": "logs", "table_name_prefix": "e", "enabled": True}
LOGGED = creating("1") | {"ai_gateway": {"inference_table_config": GATEWAY}}


class Tables:
    """Payload tables in memory, some of them unreachable."""

    def __init__(self, *broken: str) -> None:
        self.broken = {f"{name}_payload" for name in broken}
        self.rows: dict[str, list[Mapping[str, Any]]] = {}
        self.refused: list[int] = []
        self.changed = threading.Condition()

    def append(self, folder: Path, rows: list[dict[str, object]]) -> None:
        with self.changed:
            self.changed.notify_all()
            if folder.name in self.broken:
                self.refused.append(len(rows))
                raise OSError("unreachable")
            self.rows.setdefault(folder.name, []).extend(rows)

    def wait(self, until: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(until, 10)


def exchange(request: bytes = b"{}", rule: LogRule = NO_RULE) -> Exchange:
    return Exchange("1", 1_700_000_000.25, "CAN_QUERY", None, request, "m-1", 1.6, 200, b"{}", rule)


class FailingExchange(Exchange):
    def row(self) -> dict[str, Any]:
        raise ZeroDivisionError


def test_a_row_that_cannot_be_created_is_lost_and_does_not_block_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    tables = Tables()
    log = RequestLog(Path("w"), lambda: 0.5, lambda: {GOOD}, 0.01, tables.append)
    for each in (exchange(), FailingExchange("7", 0.0), exchange()):
        log.offer(GOOD, each)
    log.close()
    assert (len(tables.rows["good_payload"]), log.lost, log.waiting) == (2, 1, 0)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [
        "the request log cannot create the row of request 7: ZeroDivisionError",
        "the request log has lost 1 row since the server started",
    ]


@pytest.mark.parametrize(
    "value", [json.loads("[" * 600 + "]" * 600), {"columns": [["age"]], "data": [[41]]}, {"columns": [], "data": 1}]
)
def test_no_body_makes_redaction_fail(value: Any) -> None:
    for body in ({"dataframe_records": [{"zzz": value}]}, {"dataframe_split": value}, value):
        row = exchange(json.dumps(body).encode(), HIDE).row()
        assert "41" not in (row["request"] or "")
        assert row["request"] or row["logging_error_codes"] == ["REQUEST_NOT_REDACTED"]


def test_a_record_that_resembles_a_split_frame_is_redacted() -> None:
    body = {"dataframe_records": [{"columns": ["n"], "data": [[{"age": 41}]], "job": "SECRETJOB"}]}
    row = exchange(json.dumps(body).encode(), HIDE).row()
    assert "SECRETJOB" not in row["request"] and "41" not in row["request"]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[41, "SECRETJOB"]]},
        {"instances": [{"age": 41}, [41, "SECRETJOB"]]},
        {"inputs": [41, "SECRETJOB"]},
        {"inputs": "SECRETJOB"},
        {"dataframe_records": [[41, "SECRETJOB"]]},
        {"dataframe_split": {"data": [[41, "SECRETJOB"]]}},
        {"dataframe_split": {"columns": ["age", "job"], "data": {"0": [41, "SECRETJOB"]}}},
        {"rows": [[41, "SECRETJOB"]]},
        {"instances": [{"age": 41}], "params": [41, "SECRETJOB"]},
        [[41, "SECRETJOB"]],
        "SECRETJOB",
    ],
)
def test_values_without_names_are_not_logged(body: Any) -> None:
    row = exchange(json.dumps(body).encode(), HIDE).row()
    assert (row["request"], row["logging_error_codes"]) == (None, ["REQUEST_NOT_REDACTED"])
    assert exchange(json.dumps(body).encode()).row()["request"] == json.dumps(body), (
        "without columns to redact, it is logged"
    )


def test_an_unreachable_table_does_not_delay_further_tables(caplog: pytest.LogCaptureFixture) -> None:
    tables = Tables("bad")
    log = RequestLog(Path("w"), lambda: 0.5, lambda: {GOOD, BAD}, 0.01, tables.append)
    for _ in range(MAX_QUEUED_ROWS + 1):
        log.offer(BAD, exchange())
    tables.wait(lambda: len(tables.refused) > 2)
    log.offer(GOOD, exchange())
    tables.wait(lambda: "good_payload" in tables.rows)
    assert (log.waiting, log.lost) == (MAX_QUEUED_ROWS, 1)
    log.close()
    assert log.lost == MAX_QUEUED_ROWS + 1
    failures = [record for record in caplog.records if "cannot write" in record.getMessage()]
    assert [bool(record.exc_info) for record in failures] == [True] + [False] * (len(failures) - 1)
    pauses = [record.args[2] for record in failures if isinstance(record.args, tuple)]
    assert pauses[:3] == [0.02, 0.04, 0.08]


def test_rows_of_a_table_without_an_endpoint_are_dropped() -> None:
    tables, named = Tables("bad"), {BAD}
    log = RequestLog(Path("w"), lambda: 0.5, lambda: named, 0.01, tables.append)
    log.offer(BAD, exchange())
    tables.wait(lambda: tables.refused)
    named.clear()
    until = time.monotonic() + 10
    while log.waiting and time.monotonic() < until:
        time.sleep(0.001)
    assert (log.waiting, log.lost, "bad_payload" in tables.rows) == (0, 1, False)
    log.close()


def test_a_table_without_an_endpoint_is_dropped_before_its_next_retry() -> None:
    tables, named = Tables("bad"), {BAD}
    log = RequestLog(Path("w"), lambda: 0.5, lambda: named, 0.1, tables.append)
    log.offer(BAD, exchange())
    tables.wait(lambda: len(tables.refused) == 4)  # the next time in 1.6 s
    named.clear()
    began = time.monotonic()
    while log.waiting and time.monotonic() < began + 10:
        time.sleep(0.001)
    assert time.monotonic() - began < 1
    log.close()


@dataclass
class Ruled(FakeRegistry):
    """Version 1 has columns to redact, version 2 has none; both predict when the gate opens."""

    gate: threading.Event = threading.Event()  # noqa: RUF009 - each test makes its own registry and gives it one

    def __call__(self, name: str, version: str) -> LoadedModel:
        return ContractModel(self._answer, log_rule=HIDE if version == "1" else NO_RULE)

    def _answer(self, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        self.gate.wait(10)
        return [{"p": 1} for _ in records]


@pytest.fixture
def registry() -> Ruled:
    return Ruled(gate=threading.Event())


def logged(folder: Path) -> dict[str, Any]:
    """The only row of the payload table."""
    (row,) = DeltaTable(str(folder / "warehouse" / "logs" / "e_payload")).to_pyarrow_table().to_pylist()
    return dict(row)


@pytest.mark.parametrize("change", ["delete", "update"])
def test_a_change_of_the_endpoint_does_not_change_the_rule_of_running_requests(
    run_scenario: Any, registry: Ruled, tmp_path: Path, change: str
) -> None:
    registry.gate.set()

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, LOGGED)
        await call.settled()
        arriving = Arriving(call)
        request = asyncio.create_task(arriving.ask(SECRET))
        await arriving.begun.wait()
        if change == "delete":
            await call("DELETE", f"{ROOT}/e")
        else:
            await call("PUT", f"{ROOT}/e/config", config("2"))
            await call.settled()
        arriving.rest.set()
        await request

    run_scenario(scenario)
    row = logged(tmp_path)
    assert row["status_code"] == 200
    assert "41" not in row["request"] and "SECRETJOB" not in row["request"]


def test_a_late_response_is_logged_as_the_504_that_the_caller_received(
    run_scenario: Any, registry: Ruled, tmp_path: Path
) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, LOGGED)
        await call.settled()
        arriving = Arriving(call)
        arriving.rest.set()
        request = asyncio.create_task(arriving.ask(ONE))
        async with asyncio.timeout(10):
            while len(arriving.sent) < 2:
                await asyncio.sleep(0.001)
        registry.gate.set()
        await request
        assert [message.get("status") for message in arriving.sent] == [504, None]

    run_scenario(scenario, model_seconds=0.01)
    row = logged(tmp_path)
    assert (row["status_code"], json.loads(row["response"])) == (504, {"error_code": "DEADLINE_EXCEEDED"})


def test_a_request_refused_during_parsing_is_logged_with_its_client_request_id(
    run_scenario: Any, tmp_path: Path
) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, LOGGED)
        await call.settled()
        assert (await call("POST", SCORE, {"dataframe_records": [], "client_request_id": "mine"})).status == 400

    run_scenario(scenario)
    assert logged(tmp_path)["client_request_id"] == "mine"


class Arriving:
    """A scoring request whose body arrives when the test sets `rest`."""

    def __init__(self, call: Caller) -> None:
        self._call = call
        self.begun, self.rest = asyncio.Event(), asyncio.Event()
        self.sent: list[Any] = []

    async def ask(self, body: Any) -> None:
        async def receive() -> Any:
            self.begun.set()
            await self.rest.wait()
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: Any) -> None:
            self.sent.append(message)

        headers = [(b"authorization", f"Bearer {self._call.token}".encode()), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "method": "POST", "path": SCORE, "headers": headers, "query_string": b"", "root_path": "",
        }  # fmt: skip
        await self._call.app(scope, receive, send)
