"""Read-only routes: AI gateway, logs, metrics, permissions, MLflow's protocol, probes, the try page."""

import re
import threading
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from deployment.commands.serving.foreground import ServerStatistics
from deployment.model_server.http.try_page import _HTML
from lakehouse.settings import ServerAccess
from tests.unit.model_server import in_process
from tests.unit.model_server.in_process import ONE, ROOT, SCORE, Caller, FakeRegistry, config, creating

run_scenario, registry = in_process.run_scenario, in_process.registry
TABLE = {"catalog_name": "main", "schema_name": "logs", "table_name_prefix": "e", "enabled": True}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Samples by metric name and label values, ordered by label name."""
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    found = [sample for family in families for sample in family.samples]
    return {(each.name, *(each.labels[name] for name in sorted(each.labels))): each.value for each in found}


def test_the_ai_gateway_survives_a_restart_and_can_be_removed(run_scenario: Any) -> None:
    async def before(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        assert "ai_gateway" not in (await call.settled())
        response = await call("PUT", f"{ROOT}/e/ai-gateway", {"inference_table_config": TABLE})
        assert (response.status, response.body) == (200, {"inference_table_config": TABLE})

    async def after(call: Caller) -> None:
        assert (await call.settled())["ai_gateway"] == {"inference_table_config": TABLE}
        assert (await call("PUT", f"{ROOT}/e/ai-gateway", {})).body == {}
        assert "ai_gateway" not in (await call.settled())
        created = creating("1") | {"name": "a-b", "ai_gateway": {"inference_table_config": {"enabled": False}}}
        shown = (await call("POST", ROOT, created)).body["ai_gateway"]["inference_table_config"]
        assert (shown["enabled"], shown["table_name_prefix"]) == (False, "a_b")

    run_scenario(before)
    run_scenario(after)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"inference_table_config": {"enabled": True}}, "needs catalog_name and schema_name"),
        ({"inference_table_config": TABLE | {"schema_name": "a.b"}}, "only letters, digits and underscores"),
        ({"inference_table_config": TABLE | {"typo": 1}}, "typo: Extra inputs"),
        ({"rate_limits": [{"calls": 1}]}, "not supported by this server: rate_limits"),
        ({"guardrails": {"input": {"pii": {}}}}, "not supported by this server: guardrails"),
    ],
)
def test_unsupported_ai_gateway_settings_are_refused(run_scenario: Any, body: Any, says: str) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        refused = await call("PUT", f"{ROOT}/e/ai-gateway", body)
        assert (refused.status, refused.body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert says in refused.body["message"]

    run_scenario(scenario)


@pytest.mark.parametrize("name", ["a/b", "runs:/x", "m@champion", "../../etc", "%2e%2e", "", "a\nb"])
def test_model_names_that_are_paths_or_uris_are_refused(run_scenario: Any, registry: FakeRegistry, name: str) -> None:
    async def scenario(call: Caller) -> None:
        body = {
            "name": "e",
            "config": {"served_entities": [{"entity_name": name, "entity_version": "1", "name": "x"}]},
        }
        refused = await call("POST", ROOT, body)
        assert (refused.status, refused.body["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert registry.loads == []

    run_scenario(scenario)


def test_logs_contain_loads_and_reasons_of_failure(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        await call("PUT", f"{ROOT}/e/config", config("7", model="broken"))
        await call.settled()
        good = (await call("GET", f"{ROOT}/e/served-models/m-1/build-logs")).body["logs"].splitlines()
        assert good[0] == "2023-11-14T22:13:20.500+00:00 m version 1: loading"
        assert good[-1] == "config 1: m version 1: DEPLOYMENT_READY"
        bad = (await call("GET", f"{ROOT}/e/served-models/broken-7/build-logs")).body["logs"]
        assert "ModelNotLoaded: no weights" in bad and "Traceback" in bad

    run_scenario(scenario)


def test_permissions_are_those_of_the_two_tokens(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        identifier = (await call("POST", ROOT, creating("1"))).body["id"]
        place = f"/api/2.0/permissions/serving-endpoints/{identifier}"
        held = (await call("GET", place)).body
        assert held["object_id"] == f"/serving-endpoints/{identifier}"
        assert [entry["all_permissions"][0]["permission_level"] for entry in held["access_control_list"]] == [
            "CAN_MANAGE",
            "CAN_QUERY",
        ]
        levels = (await call("GET", f"{place}/permissionLevels")).body["permission_levels"]
        assert [level["permission_level"] for level in levels] == ["CAN_VIEW", "CAN_QUERY", "CAN_MANAGE"]
        for method in ("PUT", "PATCH"):
            assert (await call(method, place, {})).body["error_code"] == "NOT_IMPLEMENTED"
        assert (await call("GET", f"{place}x")).status == 404

    run_scenario(scenario)


def test_metrics_count_requests_by_endpoint_version_and_status(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        for body in (ONE, ONE, {}):
            await call("POST", SCORE, body)
        await call("POST", "/serving-endpoints/nowhere/invocations", ONE)
        exposition = (await call("GET", "/metrics")).body
        found = samples(exposition)
        count = "model_server_request_seconds_count"
        assert found[count, "e", "m-1", "200", "1"] == 2
        assert found[count, "e", "", "400", ""] == 1
        assert found[count, "", "", "404", ""] == 1
        assert "nowhere" not in exposition, "callers cannot create series"
        assert found["model_server_requests_in_flight", "e"] == 0
        assert found["model_server_endpoint_ready", "e"] == 1
        assert found["model_server_model_age_seconds", "e", "m-1", "1"] == 60
        numbers = ServerStatistics.read(exposition)
        assert (numbers.ready, numbers.endpoints, numbers.succeeded, numbers.refused, numbers.failed) == (
            1,
            1,
            2,
            2,
            0,
        )

    run_scenario(scenario)


def test_metrics_of_an_endpoint_have_the_names_of_databricks(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        for body in (ONE, ONE, {}):
            await call("POST", SCORE, body)
        response = await call("GET", f"{ROOT}/e/metrics")
        assert response.headers["content-type"].startswith("application/openmetrics-text")
        found = samples(response.body)
        assert found["request_count_total", "e", "m-1"] == 2
        assert found["request_4xx_count_total", "e", ""] == 1
        assert found["request_5xx_count_total", "e", "m-1"] == 0
        assert found["request_latency_ms_count", "e", "m-1"] == found["request_latency_ms_bucket", "e", "+Inf", "m-1"]
        assert (await call("GET", f"{ROOT}/nowhere/metrics")).status == 404

    run_scenario(scenario)


def test_mlflow_clients_reach_the_only_endpoint(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        none = await call("POST", "/invocations", ONE)
        assert (none.status, "the server has 0 endpoints" in none.body["message"]) == (400, True)
        await call("POST", ROOT, creating("1"))
        await call.settled()
        assert (await call("POST", "/invocations", ONE)).body == {"predictions": ["1"]}
        for place in ("", "/serving-endpoints/e"):
            assert (await call("GET", f"{place}/ping")).status == 200
            assert (await call("GET", f"{place}/health")).body == "\n"
            assert re.fullmatch(r"\d+\.\d+\.\d+", (await call("GET", f"{place}/version")).body)
        await call("POST", ROOT, creating("2") | {"name": "f"})
        assert "the server has 2 endpoints" in (await call("POST", "/invocations", ONE)).body["message"]
        assert (await call("GET", "/serving-endpoints/x/ping")).status == 404

    run_scenario(scenario)


def test_mlflow_clients_reach_the_default_endpoint(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        for name, version in (("e", "1"), ("f", "2")):
            await call("POST", ROOT, creating(version) | {"name": name})
            await call.settled(name)
        assert (await call("POST", "/invocations", ONE)).body == {"predictions": ["2"]}

    run_scenario(scenario, serving=ServerAccess(default_endpoint="f"))


def test_a_restarted_server_is_ready_after_its_endpoints_are_loaded(
    run_scenario: Any, registry: FakeRegistry
) -> None:
    async def before(call: Caller) -> None:
        assert (await call("GET", "/ready", authorization="")).status == 200
        await call("POST", ROOT, creating("1"))
        await call.settled()

    async def after(call: Caller) -> None:
        refused = await call("GET", "/ready", authorization="")
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert (await call("GET", "/live", authorization="")).status == 200
        assert (await call("GET", "/serving-endpoints/e/ping")).status == 503
        registry.gates["1"].set()
        await call.settled()
        assert (await call("GET", "/ready", authorization="")).status == 200

    run_scenario(before)
    registry.gates["1"] = threading.Event()
    run_scenario(after)


def test_the_try_page_has_no_external_resources(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        response = await call("GET", "/serving-endpoints/anything/try", authorization="")
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert policy.count("'sha256-") == 2
        assert response.body == _HTML

    run_scenario(scenario)
    assert re.findall(r"(?:src|href)=[\"'](?!data:)", _HTML) == []
    assert "://" not in _HTML and "innerHTML" not in _HTML and " style=" not in _HTML
