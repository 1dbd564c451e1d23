"""The training distribution of a version's inputs, from its population, for the try page."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deployment.model_server.http.try_page import _HTML
from deployment.model_server.models.distributions import BARS, POPULATION, distributions_of


def stored(folder: Path, population: object) -> dict[str, str]:
    file = folder / POPULATION
    file.write_text(json.dumps(population), encoding="utf-8")
    return {POPULATION: str(file)}


def number(edges: list[float], low: float, high: float) -> dict[str, Any]:
    return {"edges": edges, "low": low, "high": high, "centres": [0.0] * (len(edges) + 1)}


def test_bars_of_a_number_have_equal_width_and_hold_all_rows(tmp_path: Path) -> None:
    column = {"bins": number([10.0, 20.0], 0.0, 40.0), "counts": [30, 50, 20, 5, 0, 0]}
    found = distributions_of(stored(tmp_path, {"inputs": {"age": column}}))["age"]
    assert (found["low"], found["high"], len(found["shares"])) == (0.0, 40.0, BARS)
    assert sum(found["shares"]) == pytest.approx(1.0)
    assert sum(found["shares"][:5]) == pytest.approx(0.3), "the missing rows do not count"
    assert found["shares"][:5] == [0.06] * 5


def test_the_wide_ends_of_a_number_with_many_bins_have_no_bar(tmp_path: Path) -> None:
    column = {"bins": number([float(edge) for edge in range(49)], -1e6, 1e6), "counts": [2] * 50 + [0, 0, 0]}
    found = distributions_of(stored(tmp_path, {"inputs": {"balance": column}}))["balance"]
    assert (found["low"], found["high"]) == (0.0, 48.0)
    assert sum(found["shares"]) == pytest.approx(0.96)


def test_the_open_ends_of_cohorts_are_as_wide_as_the_others(tmp_path: Path) -> None:
    largest = sys.float_info.max
    column = {"bins": number([18.0, 50.0, 66.0], -largest, largest), "counts": [10, 40, 30, 20, 5, 0, 0]}
    found = distributions_of(stored(tmp_path, {"inputs": {"age": column}}))["age"]
    assert (found["low"], found["high"]) == (0.0, 90.0), "ages begin at 0, and 24 years are the mean width"
    assert sum(found["shares"]) == pytest.approx(1.0, abs=1e-3)
    one_bound = {"bins": number([-5.0], -largest, largest), "counts": [1, 3, 0, 0, 0]}
    found = distributions_of(stored(tmp_path, {"inputs": {"degrees": one_bound}}))["degrees"]
    assert (found["low"], found["high"], found["shares"][0], found["shares"][-1]) == (-10.0, 0.0, 0.025, 0.075)


def test_categories_have_their_shares_by_their_json_text(tmp_path: Path) -> None:
    inputs = {
        "job": {"bins": {"values": ["clerk", "baker"], "own": 2}, "counts": [30, 10, 60, 0, 0]},
        "owns": {"bins": {"values": [False, True], "own": 2}, "counts": [3, 1, 0, 0, 0]},
    }
    found = distributions_of(stored(tmp_path, {"inputs": inputs}))
    assert found["job"] == {"shares": {"clerk": 0.75, "baker": 0.25}}
    assert found["owns"] == {"shares": {"false": 0.75, "true": 0.25}}


def test_the_training_rows_come_before_the_reference_rows(tmp_path: Path) -> None:
    bins = {"values": ["a", "b"], "own": 2}
    population = {
        "inputs": {"x": {"bins": bins, "counts": [1, 3, 0, 0, 0]}},
        "training": {"x": {"bins": bins, "counts": [1, 1, 0, 0, 0]}},
    }
    assert distributions_of(stored(tmp_path, population)) == {"x": {"shares": {"a": 0.5, "b": 0.5}}}


@pytest.mark.parametrize("content", [{}, [], {"inputs": {"x": {"bins": {}}}}, {"inputs": {"x": 3}}])
def test_a_population_of_another_form_has_no_distributions(tmp_path: Path, content: object) -> None:
    assert distributions_of(stored(tmp_path, content)) == {}
    assert distributions_of({}) == {}
    assert distributions_of({POPULATION: str(tmp_path / "gone.json")}) == {}


def test_a_constant_number_has_no_bars(tmp_path: Path) -> None:
    column = {"bins": number([7.1], 7.0, 7.0), "counts": [9, 0, 0, 0, 0]}
    assert distributions_of(stored(tmp_path, {"inputs": {"x": column}})) == {}


def test_the_page_says_where_its_token_lies() -> None:
    assert "cat .serving/data-token" in _HTML
    assert "x-training-distributions" in _HTML
