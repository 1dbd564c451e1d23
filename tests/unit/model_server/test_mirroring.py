"""Shadow mode of the model server: one version answers, and another gets copies that are only compared."""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.unit.model_server.in_process import ONE, ROOT, SCORE, Caller, config, creating, registry, run_scenario

__all__ = ["registry", "run_scenario"]


def shadowed(text: str) -> dict[tuple[str, str], float]:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]  # type: ignore[no-untyped-call]
    return {
        (sample.name, sample.labels.get("outcome") or sample.labels.get("served_entity_name", "")): sample.value
        for sample in samples
    }


def test_copies_are_compared_and_only_the_stable_version_answers(run_scenario: Callable[..., None]) -> None:
    async def scenario(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        await call("PUT", f"{ROOT}/e/config", config("1", "2", traffic={"1": 100, "2": 0}))
        await call.settled()
        tag = {"add_tags": [{"key": "shadow_served_entity", "value": "m-2"}]}
        assert (await call("PATCH", f"{ROOT}/e/tags", tag)).status == 200
        answers = [await call("POST", SCORE, ONE) for _ in range(5)]
        assert {answer.body["predictions"][0] for answer in answers} == {"1"}
        await asyncio.sleep(0.1)
        found = shadowed((await call("GET", f"{ROOT}/e/metrics")).body)
        assert found["shadow_responses_total", "different"] == 5
        assert found["request_count_total", "m-1"] == found["request_count_total", "m-2"] == 5
        assert (await call("PATCH", f"{ROOT}/e/tags", {"delete_tags": ["shadow_served_entity"]})).status == 200
        await call("POST", SCORE, ONE)
        await asyncio.sleep(0.1)
        found = shadowed((await call("GET", f"{ROOT}/e/metrics")).body)
        assert (found["request_count_total", "m-1"], found["request_count_total", "m-2"]) == (6, 5)

    run_scenario(scenario)


def test_a_shadow_that_fails_or_does_not_exist_disturbs_nobody(run_scenario: Callable[..., None]) -> None:
    async def scenario(call: Caller) -> None:
        both: dict[str, Any] = config("1", traffic={"1": 100})
        both["served_entities"].append({"entity_name": "defect", "entity_version": "2", "name": "d"})
        await call("POST", ROOT, {"name": "e", "config": both})
        await call.settled()
        for shadow in ("d", "nothing"):
            await call("PATCH", f"{ROOT}/e/tags", {"add_tags": [{"key": "shadow_served_entity", "value": shadow}]})
            assert (await call("POST", SCORE, ONE)).status == 200
            await asyncio.sleep(0.1)
        found = shadowed((await call("GET", f"{ROOT}/e/metrics")).body)
        assert found["shadow_responses_total", "failed"] == 1
        assert found["request_5xx_count_total", "d"] == 1

    run_scenario(scenario)
