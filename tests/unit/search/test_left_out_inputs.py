"""Inputs that a search may leave out: dimensions of its space, respected by every fitted model."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import skops.io

from scoring.pipeline_file import TRUSTED
from scoring.tasks import BINARY
from tests.unit.frames import ENCODER, alternating
from tests.unit.points import LOCAL
from training.frame.raw_inputs import groups, without
from training.models import FAMILIES
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.left_out_inputs import hyperparameters, left_out_inputs
from training.space.space import Choice, Dimension, SpaceRefused, Value
from training.use_case.search import SearchPlan

ROWS = alternating(120)
INPUTS = list(groups(ENCODER))


def plan(leave_out: Any, **more: object) -> SearchPlan:
    fields = {"families": ["logistic_regression"], "leave_out": leave_out, **more}
    return SearchPlan.model_validate(fields)


def test_each_input_or_group_is_one_dimension_of_every_family() -> None:
    space = plan(["amount", ["place", "known"]], families=["knn", "logistic_regression"]).joint_space()
    for family in ("knn", "logistic_regression"):
        assert list(space.families[family])[-2:] == ["without.amount", "without.place.known"]
        assert space.families[family]["without.amount"] == Choice((False, True))


def test_auto_is_every_input_of_the_tables() -> None:
    assert plan("auto").with_inputs(INPUTS) == plan(["amount", "place", "known"])
    assert not any(name.startswith("without.") for name in plan("auto").joint_space().families["logistic_regression"])


def test_left_out_inputs_are_read_from_the_params() -> None:
    params: dict[str, Value] = {"without.place.known": True, "without.amount": False, "penalty": "l1"}
    assert left_out_inputs(params) == ("known", "place")
    assert hyperparameters(params) == {"penalty": "l1"}


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (["amount", ["amount", "place"]], "names amount twice"),
        ([[]], "an empty group"),
    ],
)
def test_invalid_groups_are_refused(leave_out: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(leave_out)


def test_an_unknown_input_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SpaceRefused, match=r"leave_out names amont, which is not an input\. Did you mean 'amount'"):
        plan(["amont"]).with_inputs(INPUTS)


@pytest.mark.parametrize(
    "family", [name for name in LOCAL if FAMILIES[name].space and BINARY in FAMILIES[name].tasks]
)
def test_a_model_ignores_left_out_inputs_and_predicts_as_if_they_never_existed(family: str) -> None:
    chosen: dict[str, Value] = {}

    def first(_name: str, dimension: Dimension) -> Value:
        return dimension.grid[0]

    space = plan([], families=[family]).joint_space()
    chosen |= space.draw(first).params
    candidate = Candidate.of(family, {**chosen, "without.place": True, "without.known": True})
    matrix_format = FAMILIES[family].matrix_format
    wide: Any = fit(candidate, ROWS, 0)
    narrow: Any = fit(Candidate(family, chosen), without(ROWS, ["place", "known"], matrix_format)[0], 0)
    rows = alternating(40, seed=9)
    probabilities = wide.predict_proba(rows.inputs(matrix_format))
    only = without(rows, ["place", "known"], matrix_format)[0]
    assert only.columns == ("amount",)
    assert probabilities.tolist() == narrow.predict_proba(only.inputs(matrix_format)).tolist()
    changed = {**rows.features, "place_index": np.zeros(40), "known": np.full(40, 8.0)}
    other = replace(rows, features=changed, x=ENCODER.matrix(changed).values)
    assert wide.predict_proba(other.inputs(matrix_format)).tolist() == probabilities.tolist()
    dumped = skops.io.dumps(wide)
    reloaded = skops.io.loads(dumped, trusted=skops.io.get_untrusted_types(data=dumped))
    assert reloaded.predict_proba(rows.inputs(matrix_format)).tolist() == probabilities.tolist()
    if family == "logistic_regression":
        assert set(skops.io.get_untrusted_types(data=dumped)) <= TRUSTED


def test_a_candidate_that_leaves_out_every_input_fails() -> None:
    nothing = Candidate("knn", {f"without.{name}": True for name in INPUTS})
    with pytest.raises(ValueError, match="every input is left out"):
        fit(nothing, ROWS, 0)
