"""The input contract: every breach by row and field."""

from typing import Any

import pytest

from training.contracts import ContractViolation, check
from training.encoding import ENCODINGS

CONTRACT = ENCODINGS.validate_python(
    [
        {"column": "age", "as": "number", "minimum": 16, "maximum": 120},
        {"column": "age", "as": "cohort", "bounds": [18]},
        {"column": "job", "as": "category_index", "index": "gold.job_index"},
    ]
)
GOOD = {"age": 30, "job": None}


def test_good_records_pass() -> None:
    check([GOOD, {"age": 120.0, "job": "student"}], CONTRACT)


@pytest.mark.parametrize(
    ("record", "field", "expected", "got"),
    [
        ({"age": 30}, "job", "text or null", "nothing: the field is missing"),
        (GOOD | {"jobs": 1}, "jobs", "no such field. Did you mean 'job'?", "1"),
        (GOOD | {"age": 15}, "age", "integer at least 16 at most 120", "15"),
        (GOOD | {"age": None}, "age", "integer at least 16 at most 120", "null"),
        (GOOD | {"job": 3}, "job", "text or null", "3"),
        (GOOD | {"job": ["x" * 90]}, "job", "text or null", "['" + "x" * 55 + "..."),
    ],
)
def test_a_breach_says_row_field_expected_and_got(
    record: dict[str, Any], field: str, expected: str, got: str
) -> None:
    with pytest.raises(ContractViolation) as refused:
        check([GOOD, record], CONTRACT)
    (problem,) = refused.value.problems
    assert problem.as_dict() == {"row": 1, "field": field, "expected": expected, "got": got}


def test_all_breaches_are_counted_and_the_first_ones_shown() -> None:
    with pytest.raises(ContractViolation) as refused:
        check([{"age": 1, "job": 2}] * 30, CONTRACT)
    assert refused.value.found == 60
    assert len(refused.value.problems) == ContractViolation.SHOWN
    assert [problem.row for problem in refused.value.problems[:3]] == [0, 0, 1]
