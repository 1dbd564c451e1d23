"""docs/training.md lists every model family, key and choice of the code."""

import re
from collections.abc import Sequence
from typing import get_args

import pytest

from lakehouse.settings import PROJECT
from scoring.estimators import calibration_curve
from scoring.estimators.early_stopping import EarlyStoppingBooster
from scoring.tasks import TASKS
from tests.unit.points import POINTS
from training.models import FAMILIES
from training.models.family import DataFacts, Family
from training.use_case.search import SearchPlan
from training.use_case.search_words import Engine, ExecutorName, Method
from training.use_case.split import SplitPlan

PAGE = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, Sequence[str]]:
    """Cells of the first table below a heading: each row under its first cell."""
    _, _, below = PAGE.partition(f"## {heading}\n")
    table = re.search(r"^\|.*?(?=\n\n)", below, re.MULTILINE | re.DOTALL)
    assert table
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]
    return {first.strip("`"): rest for first, *rest in cells}


def stops_early(family: Family) -> bool:
    params = dict(POINTS).get(family.name)
    if params is None:  # fitted on Spark, or no learner of its own
        return family.stops_early
    model = family.build(params, 0, DataFacts(min(family.tasks, key=str), 2, {})).named_steps["model"]
    return isinstance(model, EarlyStoppingBooster)


def test_the_page_lists_the_families_in_the_order_of_the_code() -> None:
    assert list(rows("Model families")) == list(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_row_of_a_family_equals_its_declaration(name: str) -> None:
    family = FAMILIES[name]
    tasks, matrix_format, categories, weights, stopping = rows("Model families")[name]
    assert tasks == ", ".join(name for name, task in TASKS.items() if task in family.tasks)
    assert matrix_format == family.matrix_format
    assert (categories == "0/1 columns") is (family.matrix_format == "sparse")
    assert (categories == "embeddings") is bool(family.extras)
    assert (categories == "native") is (stops_early(family) and not family.extras)
    assert weights == ("yes" if family.accepts_weights else "no")
    unit = "rounds" if not family.extras else "epochs"
    assert stopping == (f"by {unit}" if stops_early(family) else "no")


def test_every_key_of_a_search_is_on_the_page() -> None:
    assert [key for key in SearchPlan.model_fields if f"`{key}`" not in PAGE and f"`search.{key}`" not in PAGE] == []


@pytest.mark.parametrize(
    "choices",
    [Method, Engine, ExecutorName, calibration_curve.CalibrationChoice, SplitPlan.model_fields["by"].annotation],
    ids=["method", "engine", "executor", "calibration", "split"],
)
def test_every_choice_is_on_the_page(choices: object) -> None:
    assert [choice for choice in get_args(choices) if f"`{choice}`" not in PAGE] == []
