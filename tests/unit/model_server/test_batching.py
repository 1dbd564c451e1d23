"""Request batching: concurrent requests share one run of the model, with the same results as single requests."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from deployment.model_server.data_plane.batching import MAX_BATCH_ROWS, MAX_SHARED_ROWS
from deployment.model_server.models.contract_model import ContractModel, LoadedModel
from scoring.contract import ContractViolation, Problem
from scoring.hooks import HookFailed
from tests.unit.model_server import in_process
from tests.unit.model_server.in_process import ROOT, SCORE, Caller, FakeRegistry, Response, creating
from tests.unit.model_server.test_inspection import samples

run_scenario = in_process.run_scenario


@dataclass
class Doubling(FakeRegistry):
    """Versions that predict twice the age, refuse texts and fail at ages 13 and 14. Records the rows of each run."""

    runs: dict[str, list[int]] = field(default_factory=lambda: {"1": [], "2": []})

    def __call__(self, name: str, version: str) -> LoadedModel:
        def predict(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
            self.runs[version].append(len(records))
            wrong = [Problem(row, "age", "a number", "text") for row, each in enumerate(records) if each["age"] == ""]
            if wrong:
                raise ContractViolation(wrong)
            for row, each in enumerate(records):
                if each["age"] == 13:
                    raise HookFailed("a hook", row, "failed")
                if each["age"] == 14:
                    raise KeyError("a secret of the model")
            return [{"twice": 2 * each["age"], "version": version} for each in records]

        return ContractModel(predict, inline_rows=80)


@pytest.fixture
def registry() -> Doubling:
    return Doubling()


async def concurrent(call: Caller, *bodies: Any, path: str = SCORE) -> list[Response]:
    """Responses to concurrent requests."""
    return list(await asyncio.gather(*(call("POST", path, body) for body in bodies)))


def ages(*values: Any) -> dict[str, Any]:
    return {"dataframe_records": [{"age": age} for age in values]}


def doubled(response: Response) -> list[int]:
    assert response.status == 200, response.body
    return [each["twice"] for each in response.body["predictions"]]


def test_concurrent_requests_share_one_run(run_scenario: Any, registry: Doubling) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        responses = await concurrent(call, *(ages(age) for age in range(20, 36)), ages(1, 2, 3))
        assert [doubled(response) for response in responses] == [[2 * age] for age in range(20, 36)] + [[2, 4, 6]]
        assert registry.runs["1"] == [19]
        assert doubled((await concurrent(call, ages(7)))[0]) == [14]
        assert doubled((await concurrent(call, ages(*range(20, 101))))[0])[-1] == 200, "more than inline_rows"
        found = samples((await call("GET", "/metrics")).body)
        assert found["model_server_batch_requests_count", "e"] == 3
        assert found["model_server_batch_requests_sum", "e"] == 19

    run_scenario(scenario)


def test_a_failing_request_does_not_affect_its_batch(run_scenario: Any) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        params = ages(4) | {"params": {"depth": 1}}
        bodies = (ages(1), ages(2, ""), ages(3), params, {"instances": [1]}, ages(9, 13), ages(14), ages(5))
        responses = await concurrent(call, *bodies)
        assert [response.status for response in responses] == [200, 400, 200, 400, 400, 500, 500, 200]
        assert [doubled(responses[place]) for place in (0, 2, 7)] == [[2], [6], [10]]
        assert responses[1].body["problems"] == [{"row": 1, "field": "age", "expected": "a number", "got": "text"}]
        assert "no params" in responses[3].body["message"]
        for failed in responses[5:7]:
            assert "hook" not in json.dumps(failed.body) and "secret" not in json.dumps(failed.body)
            assert "incident id" in failed.body["message"]
        assert {response.headers["served-model-name"] for response in responses if response.status != 200} == {"m-1"}

    run_scenario(scenario)


def test_the_rows_of_a_run_are_limited(run_scenario: Any, registry: Doubling) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        responses = await concurrent(
            call, *(ages(*[age] * 30) for age in range(10, 13)), *(ages(*[age] * 30) for age in (20, 21))
        )
        assert [doubled(response)[0] for response in responses] == [20, 22, 24, 40, 42]
        assert registry.runs["1"] == [120, 30]
        assert max(registry.runs["1"]) <= MAX_BATCH_ROWS

    run_scenario(scenario)


def test_a_run_contains_requests_for_one_version_only(run_scenario: Any, registry: Doubling) -> None:
    async def scenario(call: Caller) -> None:
        entities = [{"entity_name": "m", "entity_version": version} for version in ("1", "2")]
        routes = [{"served_model_name": f"m-{version}", "traffic_percentage": 50} for version in ("1", "2")]
        config = {"served_entities": entities, "traffic_config": {"routes": routes}}
        await call("POST", ROOT, {"name": "e", "config": config})
        await call.settled()
        responses = await concurrent(
            call, *(ages(age) | {"client_request_id": str(age)} for age in range(40) if age not in (13, 14))
        )
        assert [doubled(response) for response in responses] == [
            [2 * age] for age in range(40) if age not in (13, 14)
        ]
        for response in responses:
            assert response.headers["served-model-name"] == f"m-{response.body['predictions'][0]['version']}"
        assert len(registry.runs["1"]) == len(registry.runs["2"]) == 1
        assert registry.runs["1"][0] + registry.runs["2"][0] == 38

    run_scenario(scenario)


def test_a_request_that_fills_most_of_a_batch_is_answered_at_once(run_scenario: Any, registry: Doubling) -> None:
    rows = [MAX_SHARED_ROWS + 1, 1, MAX_SHARED_ROWS, 2]

    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        responses = await concurrent(call, *(ages(*[20 + size] * size) for size in rows))
        assert [doubled(response) for response in responses] == [[2 * (20 + size)] * size for size in rows]
        assert sorted(registry.runs["1"]) == [MAX_SHARED_ROWS + 1, MAX_SHARED_ROWS + 3]

    run_scenario(scenario)
