"""docs/training.md names every model family, key and choice as the code has them."""

import re
from collections.abc import Sequence
from typing import get_args

import pytest

from lakehouse.settings import PROJECT
from scoring.estimators import calibration_curve
from scoring.estimators.early_stopping import EarlyStoppingBooster
from tests.unit.points import POINTS
from training.models import FAMILIES
from training.models.family import DataFacts, Family
from training.use_case.search import Engine, ExecutorName, Method, SearchPlan
from training.use_case.use_case import SplitPlan

PAGE = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
TASKS = ("binary", "multiclass", "regression")


def rows(heading: str) -> dict[str, Sequence[str]]:
    """The cells of each row of the first table below a heading, by the first."""
    _, _, below = PAGE.partition(f"## {heading}\n")
    table = re.search(r"^\|.*?(?=\n\n)", below, re.MULTILINE | re.DOTALL)
    assert table
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
    return {first.strip("`"): others for first, *others in cells}


def by_rounds(family: Family) -> bool:
    params = dict(POINTS).get(family.name)
    if params is None:
        return False
    model = family.build(params, 0, DataFacts(min(family.tasks), 2, {})).named_steps["model"]
    return isinstance(model, EarlyStoppingBooster)


def test_the_families_are_those_of_the_code_in_its_order() -> None:
    assert list(rows("Model families")) == list(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_as_the_page_says(name: str) -> None:
    family = FAMILIES[name]
    tasks, form, categories, weights, stopping = rows("Model families")[name]
    assert tasks == ", ".join(task for task in TASKS if task in family.tasks)
    assert form == family.takes
    assert (categories == "0/1 columns") is (family.takes == "sparse")
    assert (categories == "native") is by_rounds(family)
    assert weights == ("yes" if family.takes_weights else "no")
    assert stopping == ("by rounds" if by_rounds(family) else "no")


def test_every_key_of_a_search_is_on_the_page() -> None:
    assert [key for key in SearchPlan.model_fields if f"`{key}`" not in PAGE and f"`search.{key}`" not in PAGE] == []


@pytest.mark.parametrize(
    "choices",
    [Method, Engine, ExecutorName, calibration_curve.CalibrationChoice, SplitPlan.model_fields["by"].annotation],
    ids=["method", "engine", "executor", "calibration", "split"],
)
def test_every_choice_is_on_the_page(choices: object) -> None:
    assert [choice for choice in get_args(choices) if f"`{choice}`" not in PAGE] == []
