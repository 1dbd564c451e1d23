"""The input contract: every problem has its row and field."""

from dataclasses import replace
from typing import Any

import pytest

from scoring.contract import ContractViolation, check
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.row_reader import RowReader

ENCODED = ENCODINGS.validate_python(
    [
        {"column": "age", "as": "number", "minimum": 16, "maximum": 120},
        {"column": "age", "as": "cohort", "bounds": [18]},
        {"column": "job", "as": "category_index", "index": "gold.job_index"},
    ]
)
CONTRACT = Encoder(ENCODED, {"gold.job_index": ("", "student", "x")}, ())
GOOD = {"age": 30, "job": None}


def test_good_records_pass() -> None:
    check([GOOD, {"age": 120.0, "job": "student"}], CONTRACT)


@pytest.mark.parametrize(
    ("record", "field", "expected", "got"),
    [
        ({"age": 30}, "job", "one of student, x or null", "missing"),
        (GOOD | {"jobs": 1}, "jobs", "no such field. Did you mean 'job'?", "1"),
        (GOOD | {"age": 15}, "age", "integer at least 16 at most 120", "15"),
        (GOOD | {"age": None}, "age", "integer at least 16 at most 120", "null"),
        (GOOD | {"job": "astronaut"}, "job", "one of student, x or null", "'astronaut'"),
        (GOOD | {"job": 3}, "job", "one of student, x or null", "3"),
        (GOOD | {"job": ["x" * 90]}, "job", "one of student, x or null", "['" + "x" * 55 + "..."),
    ],
)
def test_a_problem_names_row_field_expected_and_actual_value(
    record: dict[str, Any], field: str, expected: str, got: str
) -> None:
    with pytest.raises(ContractViolation) as refused:
        check([GOOD, record], CONTRACT)
    (problem,) = refused.value.problems
    assert problem.as_dict() == {"row": 1, "field": field, "expected": expected, "got": got}


def test_all_problems_are_counted_and_the_first_twenty_listed() -> None:
    with pytest.raises(ContractViolation) as refused:
        check([{"age": 1, "job": 2}] * 30, CONTRACT)
    assert refused.value.found == 60
    assert len(refused.value.problems) == ContractViolation.SHOWN
    assert [problem.row for problem in refused.value.problems[:3]] == [0, 0, 1]


@pytest.mark.parametrize(
    ("records", "breaches"),
    [
        ([GOOD, GOOD | {"age": "30"}, GOOD, {"job": "x"}], [(1, "age"), (3, "age")]),
        ([{}], [(0, "age"), (0, "job")]),
        ([GOOD | {"zzz": 1, "age": 15}], [(0, "zzz"), (0, "age")]),
        (
            [GOOD | {"age": float("nan")}, GOOD | {"age": True}, GOOD | {"age": 30.5}],
            [(0, "age"), (1, "age"), (2, "age")],
        ),
        ([GOOD | {"age": 121}, GOOD | {"age": 16}, GOOD | {"age": 10**400}], [(0, "age"), (2, "age")]),
    ],
)
def test_each_problem_is_listed_once_with_its_row(
    records: list[dict[str, Any]], breaches: list[tuple[int, str]]
) -> None:
    with pytest.raises(ContractViolation) as refused:
        check(records, CONTRACT)
    assert [(problem.row, problem.field) for problem in refused.value.problems] == breaches
    assert refused.value.found == len(breaches)


def test_an_unknown_field_without_a_similar_name_lists_all_fields() -> None:
    with pytest.raises(ContractViolation) as refused:
        check([GOOD | {"zzz": 1}], CONTRACT)
    assert refused.value.problems[0].expected == "no such field. Known: age, job."


def test_the_message_has_the_count_and_the_first_problem() -> None:
    with pytest.raises(ContractViolation) as refused:
        check([GOOD, {"age": None, "job": 1}], CONTRACT)
    assert str(refused.value) == (
        "2 values break the input contract; first: row 1, field 'age': "
        "expected integer at least 16 at most 120, got null"
    )


@pytest.mark.parametrize(("breaches", "shown"), [(19, 19), (20, 20), (21, 20)])
def test_at_most_twenty_problems_are_listed_and_all_are_counted(breaches: int, shown: int) -> None:
    with pytest.raises(ContractViolation) as refused:
        check([GOOD | {"age": 1}] * breaches, CONTRACT)
    assert (refused.value.found, len(refused.value.problems)) == (breaches, shown)


def test_an_empty_request_passes() -> None:
    check([], CONTRACT)


CATEGORIES = ENCODINGS.validate_python(
    [
        {"column": "job", "as": "category_index", "index": "gold.job_index"},
        {"column": "channel", "as": "one_hot", "categories": ["cellular", "telephone"]},
        {"column": "education", "as": "ordinal", "categories": ["primary", "secondary"], "impute": "secondary"},
    ]
)
LISTED = Encoder(
    CATEGORIES,
    CONTRACT.vocabularies,
    ("job_index", "channel_cellular", "channel_telephone", "education_level", "education_is_missing"),
)
KNOWN = {"job": "x", "channel": "telephone", "education": "primary"}


@pytest.mark.parametrize("column", KNOWN)
def test_an_unlisted_category_is_refused_by_every_encoding(column: str) -> None:
    with pytest.raises(ContractViolation) as refused:
        RowReader(LISTED).rows([KNOWN, KNOWN | {column: "Atlantis"}])
    (problem,) = refused.value.problems
    assert (problem.row, problem.field, problem.got) == (1, column, "'Atlantis'")
    assert problem.expected.startswith("one of ")


@pytest.mark.parametrize("column", KNOWN)
def test_an_unlisted_category_is_encoded_as_missing_if_the_use_case_allows_it(column: str) -> None:
    reader = RowReader(replace(LISTED, unknown_categories="missing"))
    quick = reader.rows([KNOWN | {column: "Atlantis"}])
    assert quick == reader.rows([KNOWN | {column: None}]) != reader.rows([KNOWN])
    encoder = replace(LISTED, unknown_categories="missing")
    slow = encoder.features_of([KNOWN | {column: "Atlantis"}])
    assert [values.tolist() for values in slow.values()] == [[value] for value in quick[0]]
    with pytest.raises(ContractViolation, match="expected text or null, got 7"):
        reader.rows([KNOWN | {column: 7}])


def test_a_refusal_names_the_index_table_instead_of_many_categories() -> None:
    many = replace(LISTED, vocabularies={"gold.job_index": ("", *map(str, range(31)))})
    with pytest.raises(ContractViolation, match=r"expected a category of gold\.job_index or null, got 'x'"):
        RowReader(many).rows([KNOWN])


def test_bounds_are_shown_with_all_of_their_digits() -> None:
    declared = {"column": "day", "as": "number", "minimum": 19000101, "maximum": 20991231.5}
    encoder = Encoder(ENCODINGS.validate_python([declared]), {}, ("day",))
    with pytest.raises(ContractViolation, match=r"expected integer at least 19000101 at most 20991231\.5, got 1$"):
        check([{"day": 1}], encoder)
    with pytest.raises(ValueError, match="minimum 20991232 is above maximum 20991231"):
        ENCODINGS.validate_python([declared | {"minimum": 20991232, "maximum": 20991231}])
