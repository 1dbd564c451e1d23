"""The request log: rows of the payload table, redaction, sampling, and bounded queues."""

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from prometheus_client import CollectorRegistry

from deployment.model_server.data_plane.server_metrics import RequestLogCollector
from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.models.contract_model import ContractModel
from deployment.model_server.request_log.payload_table import MAX_LOGGED_BYTES, NO_RULE, Exchange, LogRule
from deployment.model_server.request_log.request_log import MAX_QUEUED_ROWS, RequestLog
from tests.unit.model_server.in_process import ONE, ROOT, SCORE, Caller, creating, registry, run_scenario

__all__ = ["registry", "run_scenario"]  # fixtures
TABLE = InferenceTable("main", "logs", "e")
HIDE = LogRule(redact=frozenset({"age"}))


class Rows:
    """A payload table in memory, which can be unreachable."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.reachable = threading.Event()
        self.reachable.set()
        self.refused = threading.Event()

    def append(self, folder: Path, rows: list[dict[str, object]]) -> None:
        if not self.reachable.is_set():
            self.refused.set()
            raise OSError("unreachable")
        self.rows += [row | {"folder": folder} for row in rows]


def exchange(
    number: int = 0, request: bytes = b"{}", response: bytes = b"{}", status: int = 200, rule: LogRule = NO_RULE
) -> Exchange:
    return Exchange(str(number), 1_700_000_000.25, "CAN_QUERY", None, request, "m-1", 1.6, status, response, rule)


def request_log(rows: Rows, **given: Any) -> RequestLog:
    return RequestLog(Path("w"), lambda: 0.5, lambda: {TABLE}, append=rows.append, **given)


def test_requests_and_responses_are_written_to_a_delta_table(run_scenario: Any, tmp_path: Path) -> None:
    async def scenario(call: Caller) -> None:
        table = {"catalog_name": "main", "schema_name": "logs", "table_name_prefix": "e", "enabled": True}
        await call("POST", ROOT, creating("1") | {"ai_gateway": {"inference_table_config": table}})
        await call.settled()
        await call("POST", SCORE, ONE | {"client_request_id": "mine"})
        await call("POST", SCORE, {"dataframe_records": []})

    run_scenario(scenario)
    rows = DeltaTable(str(tmp_path / "warehouse" / "logs" / "e_payload")).to_pyarrow_table().to_pylist()
    answered, refused = sorted(rows, key=lambda row: row["status_code"])
    assert json.loads(answered["request"])["dataframe_records"] == ONE["dataframe_records"]
    assert json.loads(answered["response"]) == {"predictions": ["1"]}
    assert (answered["client_request_id"], answered["served_entity_id"]) == ("mine", "m-1")
    assert (answered["requester"], answered["sampling_fraction"]) == ("control-token", 1.0)
    assert (refused["status_code"], json.loads(refused["response"])["error_code"]) == (400, "BAD_REQUEST")
    assert answered["databricks_request_id"] != refused["databricks_request_id"]
    assert answered["request_date"] == answered["request_time"].date()


def test_closing_the_log_writes_all_queued_rows() -> None:
    rows = Rows()
    log = request_log(rows, seconds=60)
    for number in range(1000):
        log.offer(TABLE, exchange(number))
    log.close()
    assert [row["databricks_request_id"] for row in rows.rows] == [str(number) for number in range(1000)]
    assert {row["folder"] for row in rows.rows} == {Path("w/logs/e_payload")}
    assert log.lost == 0


def test_a_failed_write_is_retried() -> None:
    rows = Rows()
    rows.reachable.clear()
    log = request_log(rows, seconds=0.01)
    log.offer(TABLE, exchange())
    assert rows.refused.wait(10)
    rows.reachable.set()
    log.close()
    assert len(rows.rows) == 1 and log.lost == 0


def test_a_full_queue_drops_rows_and_counts_them() -> None:
    rows = Rows()
    rows.reachable.clear()
    log = request_log(rows, seconds=0.01)
    for number in range(MAX_QUEUED_ROWS + 7):
        log.offer(TABLE, exchange(number))
    metrics = CollectorRegistry()
    metrics.register(RequestLogCollector(log))
    assert metrics.get_sample_value("model_server_log_rows_waiting") == MAX_QUEUED_ROWS
    assert metrics.get_sample_value("model_server_log_rows_lost_total") == 7
    assert rows.refused.wait(10)
    rows.reachable.set()
    log.close()
    assert (len(rows.rows), metrics.get_sample_value("model_server_log_rows_waiting")) == (MAX_QUEUED_ROWS, 0)


def test_the_sampling_rate_limits_the_logged_requests() -> None:
    rows = Rows()
    draws = iter(number / 100 for number in range(100))
    log = RequestLog(Path("w"), lambda: next(draws), lambda: {TABLE}, 0.01, rows.append)
    for number in range(100):
        log.offer(TABLE, exchange(number, rule=LogRule(sampling=0.2)))
    log.close()
    assert [row["sampling_fraction"] for row in rows.rows] == [0.2] * 20


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"age": 41, "job": "x"}]},
        {"dataframe_split": {"columns": ["job", "age"], "data": [["x", 41]]}},
        {"instances": [{"age": 41}]},
        {"inputs": {"age": [41], "job": ["x"]}},
    ],
)
def test_redacted_columns_appear_in_no_row(body: Any) -> None:
    response = json.dumps({"predictions": [{"age": 41, "p": 0.5}]}).encode()
    row = exchange(request=json.dumps(body).encode(), response=response, rule=HIDE).row()
    assert "41" not in row["request"] + row["response"]
    assert "[redacted]" in row["request"] and '"p": 0.5' in row["response"]
    assert row["logging_error_codes"] == []


def test_a_body_that_cannot_be_redacted_is_left_out() -> None:
    refusal = json.dumps({"error_code": "BAD_REQUEST", "message": "row 0, field 'age': got 41"}).encode()
    row = exchange(request=b'{"age": 41', response=refusal, status=400, rule=HIDE).row()
    assert (row["request"], row["response"]) == (None, '{"error_code": "BAD_REQUEST"}')
    assert row["logging_error_codes"] == ["REQUEST_NOT_REDACTED"]


def test_a_body_too_large_for_the_table_is_left_out() -> None:
    row = exchange(request=b" " * (MAX_LOGGED_BYTES + 1)).row()
    assert (row["request"], row["logging_error_codes"]) == (None, ["MAX_REQUEST_SIZE_EXCEEDED"])


def test_the_log_rule_comes_from_the_metadata_of_the_version() -> None:
    model = ContractModel(lambda rows: [], log_rule=LogRule.of({"request_log": {"sampling": 0.5, "redact": ["age"]}}))
    assert model.log_rule == LogRule(0.5, frozenset({"age"}))
    assert LogRule.of({}) == NO_RULE
