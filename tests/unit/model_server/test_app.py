"""The application in process: routes, tokens, limits, and updates of live endpoints."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from tests.unit.model_server import in_process
from tests.unit.model_server.in_process import JSON, ONE, ROOT, SCORE, Caller, FakeRegistry, config, creating

run_scenario, registry = in_process.run_scenario, in_process.registry


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", ROOT, {"authorization": ""}, 401, "UNAUTHENTICATED"),
        ("GET", ROOT, {"authorization": "Basic YTpi"}, 401, "UNAUTHENTICATED"),
        ("GET", ROOT, {"authorization": "Bearer "}, 401, "UNAUTHENTICATED"),
        ("GET", ROOT, {"authorization": "Bearer wrong"}, 403, "PERMISSION_DENIED"),
        ("POST", SCORE, {"authorization": "Bearer \u00e9"}, 403, "PERMISSION_DENIED"),
        ("GET", "/api/2.0/clusters", {"authorization": ""}, 401, "UNAUTHENTICATED"),
        ("GET", "/api/2.0/clusters", {}, 404, "ENDPOINT_NOT_FOUND"),
        ("PUT", ROOT, {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", SCORE, {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", f"{ROOT}/x", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("DELETE", f"{ROOT}/x", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"{ROOT}/x/config", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("POST", "/serving-endpoints/x/invocations", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"{ROOT}/x/ai-gateway", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"{ROOT}/x/rate-limits", {}, 501, "NOT_IMPLEMENTED"),
        ("PATCH", f"{ROOT}/x/notifications", {}, 501, "NOT_IMPLEMENTED"),
        ("POST", f"{ROOT}/pt", {}, 501, "NOT_IMPLEMENTED"),
        ("PUT", f"{ROOT}/pt/x/config", {}, 501, "NOT_IMPLEMENTED"),
        ("POST", "/api/2.0/external-function", {}, 501, "NOT_IMPLEMENTED"),
        ("POST", ROOT, {"content_type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", ROOT, {"content_type": ""}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", ROOT, {"content_type": "application/json; charset=latin-1"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", ROOT, {"content_encoding": "br"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", ROOT, {}, 400, "BAD_REQUEST"),
    ],
)
def test_requests_are_refused_before_they_reach_a_model(
    run_scenario: Any, method: str, path: str, headers: dict[str, str], *, status: int, code: str
) -> None:
    async def scenario(call: Caller) -> None:
        response = await call(method, path, None, **headers)
        assert (response.status, response.body["error_code"]) == (status, code)
        assert response.body["message"]

    run_scenario(scenario)


def test_error_messages_truncate_long_names(run_scenario: Any) -> None:
    long = "x" * 20_000

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        for place in (f"{ROOT}/{long}", f"{ROOT}/e/served-models/{long}/logs", f"/nothing/{long}"):
            response = await call("GET", place)
            assert response.status == 404 and len(response.body["message"]) < 300
        for place in (f"/serving-endpoints/{long}", f"/serving-endpoints/e/served-models/{long}"):
            response = await call("POST", f"{place}/invocations", ONE)
            assert response.status == 404 and len(response.body["message"]) < 300

    run_scenario(scenario)


@pytest.mark.parametrize(
    "path",
    ["/health", "/ping", "/version", "/live", "/ready", "/.well-known/databricks-config", "/serving-endpoints/x/try"],
)
def test_probes_and_the_try_page_need_no_token(run_scenario: Any, path: str) -> None:
    async def scenario(call: Caller) -> None:
        assert (await call("GET", path, authorization="")).status == 200

    run_scenario(scenario)


def test_an_endpoint_is_created_loaded_queried_and_deleted(run_scenario: Any, registry: FakeRegistry) -> None:
    registry.gates["1"] = threading.Event()

    async def scenario(call: Caller) -> None:
        body = creating("1") | {"description": "calls", "tags": [{"key": "team", "value": "risk"}]}
        response = await call("POST", f"{ROOT}/", body)
        assert response.status == 200
        assert response.body["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
        assert response.body["pending_config"]["start_time"] == 1_700_000_000_500
        refused = await call("POST", SCORE, ONE)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert (await call("POST", ROOT, creating("2"))).body["error_code"] == "RESOURCE_ALREADY_EXISTS"
        registry.gates["1"].set()
        endpoint = await call.settled()
        assert endpoint["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
        assert endpoint["config"]["served_entities"][0]["state"]["deployment"] == "DEPLOYMENT_READY"
        assert (endpoint["description"], endpoint["tags"]) == ("calls", [{"key": "team", "value": "risk"}])
        listed = (await call("GET", ROOT)).body["endpoints"]
        assert [(e["name"], e["config"]["served_entities"][0]["entity_version"]) for e in listed] == [("e", "1")]
        scored = await call("POST", SCORE, ONE, content_type="application/json; charset=utf-8")
        assert (scored.body, scored.headers["served-model-name"]) == ({"predictions": ["1"]}, "m-1")
        assert (await call("DELETE", f"{ROOT}/e")).body == {}
        assert (await call("POST", SCORE, ONE)).status == 404

    run_scenario(scenario)


def test_tags_are_added_and_deleted(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1") | {"tags": [{"key": "a"}, {"key": "b", "value": "1"}]})
        body = {"add_tags": [{"key": "c", "value": "2"}], "delete_tags": ["b"]}
        response = await call("PATCH", f"{ROOT}/e/tags", body)
        assert response.body == {"tags": [{"key": "a", "value": ""}, {"key": "c", "value": "2"}]}

    run_scenario(scenario)


def test_an_update_serves_the_old_version_until_the_new_one_is_loaded(
    run_scenario: Any, registry: FakeRegistry
) -> None:
    registry.gates["2"] = threading.Event()

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        assert (await call("PUT", f"{ROOT}/e/config", config("2"))).status == 200
        assert (await call("POST", SCORE, ONE)).body == {"predictions": ["1"]}
        conflict = await call("PUT", f"{ROOT}/e/config", config("3"))
        assert (conflict.status, conflict.body["error_code"]) == (409, "RESOURCE_CONFLICT")
        registry.gates["2"].set()
        assert (await call.settled())["config"]["config_version"] == 2
        assert (await call("POST", SCORE, ONE)).body == {"predictions": ["2"]}

    run_scenario(scenario)


def test_a_version_that_fails_to_load_leaves_the_old_one_serving(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        await call("PUT", f"{ROOT}/e/config", config("7", model="broken"))
        endpoint = await call.settled()
        assert endpoint["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
        failed = endpoint["pending_config"]["served_entities"][0]["state"]
        assert failed == {"deployment": "DEPLOYMENT_FAILED", "deployment_state_message": "no weights"}
        logs = await call("GET", f"{ROOT}/e/served-models/broken-7/build-logs")
        assert "no weights" in logs.body["logs"]
        assert (await call("GET", f"{ROOT}/e/served-models/x/logs")).status == 404
        assert (await call("POST", SCORE, ONE)).body == {"predictions": ["1"]}
        await call("PUT", f"{ROOT}/e/config", config("2"))
        assert (await call.settled())["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}

    run_scenario(scenario)


def test_an_endpoint_without_a_loaded_model_reports_the_reason(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("7", model="broken"))
        assert (await call.settled())["state"] == {"ready": "NOT_READY", "config_update": "UPDATE_FAILED"}
        refused = await call("POST", SCORE, ONE)
        assert (refused.status, refused.body["error_code"]) == (400, "INVALID_STATE")
        assert "broken-7: no weights" in refused.body["message"]

    run_scenario(scenario)


def test_traffic_is_split_by_percentage_and_versions_are_not_loaded_twice(
    run_scenario: Any, registry: FakeRegistry
) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        await call("PUT", f"{ROOT}/e/config", config("1", "2", traffic={"1": 90, "2": 10}))
        await call.settled()
        assert registry.loads == ["1", "2"]
        responses = [(await call("POST", SCORE, ONE)).body["predictions"][0] for _ in range(100)]
        assert (responses.count("1"), responses.count("2")) == (90, 10)
        repeated = {
            (await call("POST", SCORE, ONE | {"client_request_id": "7"})).body["predictions"][0] for _ in range(20)
        }
        assert len(repeated) == 1
        direct = await call("POST", "/serving-endpoints/e/served-models/m-2/invocations", ONE)
        assert direct.body == {"predictions": ["2"]}
        missing = await call("POST", "/serving-endpoints/e/served-models/m-3/invocations", ONE)
        assert missing.status == 404 and "m-2" in missing.body["message"]

    run_scenario(scenario)


def test_a_restart_restores_endpoints_and_continues_their_update(run_scenario: Any, registry: FakeRegistry) -> None:
    registry.gates["2"] = threading.Event()

    async def before(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        await call("PUT", f"{ROOT}/e/config", config("2"))

    async def after(call: Caller) -> None:
        endpoint = (await call("GET", f"{ROOT}/e")).body
        assert endpoint["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS"}
        registry.gates["2"].set()
        assert (await call.settled())["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
        assert (await call("POST", SCORE, ONE)).body == {"predictions": ["2"]}

    run_scenario(before)
    run_scenario(after)


def test_an_endpoint_deleted_while_it_loads_stays_deleted(run_scenario: Any, registry: FakeRegistry) -> None:
    registry.gates["1"] = threading.Event()

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        assert (await call("DELETE", f"{ROOT}/e")).status == 200
        registry.gates["1"].set()
        await call("POST", ROOT, creating("2"))
        await call.settled()
        assert (await call("POST", SCORE, ONE)).body == {"predictions": ["2"]}

    run_scenario(scenario)


def test_a_contract_violation_names_row_and_field(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1", model="strict"))
        await call.settled()
        response = await call("POST", SCORE, ONE)
        assert (response.status, response.body["error_code"], response.body["found"]) == (400, "BAD_REQUEST", 2)
        assert response.body["problems"][1] == {"row": 1, "field": "age", "expected": "a value", "got": "none"}
        assert (await call("POST", SCORE, {"instances": [[1]]})).body["problems"][0]["row"] == 0

    run_scenario(scenario)


def test_an_unexpected_error_reveals_only_an_incident_id(run_scenario: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1", model="defect"))
        await call.settled()
        response = await call("POST", SCORE, ONE)
        assert (response.status, response.body["error_code"]) == (500, "INTERNAL_ERROR")
        assert "secret" not in json.dumps(response.body)
        incident = response.body["message"].split()[-1].rstrip(".")
        assert incident in caplog.text and "a secret of the model" in caplog.text

    run_scenario(scenario)


def test_a_body_beyond_the_limit_is_refused(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        response = await call("POST", SCORE, b'"' + b"x" * 200_000 + b'"')
        assert (response.status, response.body["error_code"]) == (413, "MAX_REQUEST_SIZE_EXCEEDED")
        assert (await call("POST", SCORE, {"instances": [1, 2, 3]})).body["message"].endswith("send 1 to 2.")

    run_scenario(scenario, max_body_bytes=100_000, max_rows=2)


def test_a_body_that_does_not_arrive_in_time_gets_408(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        async def silent() -> Message:
            await asyncio.Event().wait()
            return {}

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {call.token}".encode()), (b"content-type", JSON.encode())]
        scope = {"type": "http", "method": "POST", "path": ROOT, "headers": headers, "query_string": b""}
        await call.app(scope, silent, send)
        assert sent[0]["status"] == 408

    run_scenario(scenario, body_seconds=0.01)


def test_the_token_file_is_created_once_and_readable_only_by_its_owner(run_scenario: Any, tmp_path: Path) -> None:
    tokens = []

    async def scenario(call: Caller) -> None:
        tokens.append(call.token)

    run_scenario(scenario)
    run_scenario(scenario)
    assert tokens[0] == tokens[1] and len(tokens[0]) >= 32
    assert (tmp_path / "state" / "token").stat().st_mode & 0o777 == 0o600
