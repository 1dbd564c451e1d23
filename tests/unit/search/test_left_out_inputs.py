"""Inputs that a search may leave out: dimensions of its space, honoured by every model that is fitted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import skops.io

from scoring.scorer import TRUSTED
from tests.unit.frames import ENCODER, alternating
from training.frame.raw_inputs import groups, without
from training.models import FAMILIES
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.left_out_inputs import left_out, others
from training.space.space import Choice, Dimension, SpaceRefused, Value
from training.use_case.search import SearchPlan

ROWS = alternating(120)
INPUTS = list(groups(ENCODER))


def plan(leave_out: Any, **more: object) -> SearchPlan:
    said = {"families": ["logistic_regression"], "leave_out": leave_out, **more}
    return SearchPlan.model_validate(said)


def test_each_input_or_group_is_one_dimension_of_every_family() -> None:
    space = plan(["amount", ["place", "known"]], families=["knn", "logistic_regression"]).joint_space()
    for family in ("knn", "logistic_regression"):
        assert list(space.families[family])[-2:] == ["without.amount", "without.place.known"]
        assert space.families[family]["without.amount"] == Choice((False, True))


def test_auto_is_every_input_of_the_tables() -> None:
    assert plan("auto").on(INPUTS) == plan(["amount", "place", "known"])
    assert not any(name.startswith("without.") for name in plan("auto").joint_space().families["logistic_regression"])


def test_what_is_left_out_is_read_from_the_real_values() -> None:
    params: dict[str, Value] = {"without.place.known": True, "without.amount": False, "penalty": "l1"}
    assert left_out(params) == ("known", "place")
    assert others(params) == {"penalty": "l1"}


@pytest.mark.parametrize(
    ("leave_out", "told"),
    [
        (["amount", ["amount", "place"]], "names amount twice"),
        ([[]], "a group of no inputs"),
    ],
)
def test_groups_that_cannot_be_are_refused(leave_out: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        plan(leave_out)


def test_an_input_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpaceRefused, match=r"leave_out names amont, which is no input\. Did you mean 'amount'"):
        plan(["amont"]).on(INPUTS)


@pytest.mark.parametrize("family", [name for name, each in FAMILIES.items() if each.space and "binary" in each.tasks])
def test_a_model_does_not_read_what_it_leaves_out_and_answers_as_one_that_never_had_it(family: str) -> None:
    chosen: dict[str, Value] = {}

    def first(_name: str, dimension: Dimension) -> Value:
        return dimension.grid[0]

    space = plan([], families=[family]).joint_space()
    chosen |= space.draw(first).params
    candidate = Candidate.of(family, {**chosen, "without.place": True, "without.known": True})
    takes = FAMILIES[family].takes
    whole: Any = fit(candidate, ROWS, 0)
    narrow: Any = fit(Candidate(family, chosen), without(ROWS, ["place", "known"], takes)[0], 0)
    rows = alternating(40, seed=9)
    said = whole.predict_proba(rows.inputs(takes))
    only = without(rows, ["place", "known"], takes)[0]
    assert only.columns == ("amount",)
    assert said.tolist() == narrow.predict_proba(only.inputs(takes)).tolist()
    changed = {**rows.features, "place_index": np.zeros(40), "known": np.full(40, 8.0)}
    other = replace(rows, features=changed, x=ENCODER.matrix(changed).values)
    assert whole.predict_proba(other.inputs(takes)).tolist() == said.tolist()
    kept = skops.io.dumps(whole)
    again = skops.io.loads(kept, trusted=skops.io.get_untrusted_types(data=kept))
    assert again.predict_proba(rows.inputs(takes)).tolist() == said.tolist()
    if family == "logistic_regression":
        assert set(skops.io.get_untrusted_types(data=kept)) <= TRUSTED


def test_a_candidate_that_leaves_out_everything_fails_by_itself() -> None:
    nothing = Candidate("knn", {f"without.{name}": True for name in INPUTS})
    with pytest.raises(ValueError, match="every input is left out"):
        fit(nothing, ROWS, 0)
