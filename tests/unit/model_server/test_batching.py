"""Requests that wait at one moment share a run of the model, and each gets what it would get alone."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from deployment.model_server.data_plane.batching import ROWS
from deployment.model_server.models.loader import ContractModel, LoadedModel
from scoring.contract import ContractViolation, Problem
from scoring.hooks import HookFailed
from tests.unit.model_server import scenes
from tests.unit.model_server.scenes import ROOT, SCORE, Answer, Caller, Shelf, creating
from tests.unit.model_server.test_inspection import samples

play = scenes.play


@dataclass
class Doubling(Shelf):
    """Versions that answer twice the age, refuse no number, and fail at 13 and 14; and how many rows each run had."""

    runs: dict[str, list[int]] = field(default_factory=lambda: {"1": [], "2": []})

    def __call__(self, name: str, version: str) -> LoadedModel:
        def answer(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
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

        return ContractModel(answer, quick_rows=64)


@pytest.fixture
def shelf() -> Doubling:
    return Doubling()


async def asked(call: Caller, *bodies: Any, path: str = SCORE) -> list[Answer]:
    """All at one moment."""
    return list(await asyncio.gather(*(call("POST", path, body) for body in bodies)))


def of(*ages: Any) -> dict[str, Any]:
    return {"dataframe_records": [{"age": age} for age in ages]}


def doubled(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    return [each["twice"] for each in answer.body["predictions"]]


def test_what_waits_at_one_moment_is_answered_by_one_run(play: Any, shelf: Doubling) -> None:
    async def scene(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        answers = await asked(call, *(of(age) for age in range(20, 36)), of(1, 2, 3))
        assert [doubled(answer) for answer in answers] == [[2 * age] for age in range(20, 36)] + [[2, 4, 6]]
        assert shelf.runs["1"] == [19]
        assert doubled((await asked(call, of(7)))[0]) == [14]
        assert doubled((await asked(call, of(*range(20, 85))))[0])[-1] == 168, "more rows than are quick"
        found = samples((await call("GET", "/metrics")).body)
        assert found["model_server_batch_requests_count", "e"] == 3
        assert found["model_server_batch_requests_sum", "e"] == 19

    play(scene)


def test_what_is_wrong_with_one_request_changes_nothing_of_the_others(play: Any) -> None:
    async def scene(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        params = of(4) | {"params": {"depth": 1}}
        bodies = (of(1), of(2, ""), of(3), params, {"instances": [1]}, of(9, 13), of(14), of(5))
        answers = await asked(call, *bodies)
        assert [answer.status for answer in answers] == [200, 400, 200, 400, 400, 400, 500, 200]
        assert [doubled(answers[place]) for place in (0, 2, 7)] == [[2], [6], [10]]
        assert answers[1].body["problems"] == [{"row": 1, "field": "age", "expected": "a number", "got": "text"}]
        assert "no params" in answers[3].body["message"]
        assert (answers[5].body["hook"], answers[5].body["row"]) == ("a hook", 1)
        assert "secret" not in json.dumps(answers[6].body)
        assert {answer.headers["served-model-name"] for answer in answers if answer.status == 400} == {"m-1"}

    play(scene)


def test_a_run_has_so_many_rows_at_most(play: Any, shelf: Doubling) -> None:
    async def scene(call: Caller) -> None:
        await call("POST", ROOT, creating("1"))
        await call.settled()
        answers = await asked(
            call, *(of(*[age] * 30) for age in range(10, 13)), *(of(*[age] * 30) for age in (20, 21))
        )
        assert [doubled(answer)[0] for answer in answers] == [20, 22, 24, 40, 42]
        assert shelf.runs["1"] == [120, 30]
        assert max(shelf.runs["1"]) <= ROWS

    play(scene)


def test_a_run_is_of_one_version(play: Any, shelf: Doubling) -> None:
    async def scene(call: Caller) -> None:
        entities = [{"entity_name": "m", "entity_version": version} for version in ("1", "2")]
        routes = [{"served_model_name": f"m-{version}", "traffic_percentage": 50} for version in ("1", "2")]
        config = {"served_entities": entities, "traffic_config": {"routes": routes}}
        await call("POST", ROOT, {"name": "e", "config": config})
        await call.settled()
        answers = await asked(
            call, *(of(age) | {"client_request_id": str(age)} for age in range(40) if age not in (13, 14))
        )
        assert [doubled(answer) for answer in answers] == [[2 * age] for age in range(40) if age not in (13, 14)]
        for answer in answers:
            assert answer.headers["served-model-name"] == f"m-{answer.body['predictions'][0]['version']}"
        assert len(shelf.runs["1"]) == len(shelf.runs["2"]) == 1
        assert shelf.runs["1"][0] + shelf.runs["2"][0] == 38

    play(scene)
