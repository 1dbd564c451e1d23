"""Reading many records column by column gives the rows and the refusals of reading them one by one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.contract import ContractViolation, Problem
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS, KINDS
from scoring.row_reader import MANY, RowReader

DECLARED: list[dict[str, Any]] = [
    {"column": "age", "as": "number", "minimum": 18, "maximum": 99},
    {"column": "age", "as": "cohort", "bounds": [30, 45.5, 60]},
    {"column": "amount", "as": "number", "type": "double"},
    {"column": "known", "as": "number", "impute": 0.5},
    {"column": "job", "as": "one_hot", "categories": ["clerk", "it's", "nurse"]},
    {"column": "level", "as": "ordinal", "categories": ["low", "high"], "impute": "low"},
    {"column": "place", "as": "category_index", "index": "gold.place_index"},
    {"column": "active", "as": "flag"},
]
ALL = Encoder(ENCODINGS.validate_python(DECLARED), {"gold.place_index": ("", "Aachen", "Bonn")}, ())
ENCODER = replace(ALL, features=tuple(name for encoding in ALL.encodings for name in encoding.features))
SOME = replace(ENCODER, features=tuple(name for name in ENCODER.features if name not in {"amount", "job_nurse"}))
READERS = [RowReader(each) for each in (ENCODER, SOME, replace(ENCODER, unknown_categories="missing"))]
ODD: list[Any] = [
    None,
    True,
    1,
    1.0,
    0.5,
    "1",
    "",
    -0.0,
    1e15,
    1e16,
    2**53 + 1,
    10**400,
    [],
    {},
    float("nan"),
    float("inf"),
]
number = st.integers(18, 99) | st.floats(18, 99) | st.integers(18, 99).map(float)
usual = st.fixed_dictionaries(
    {
        "age": st.integers(18, 99) | st.sampled_from([30, 45.0, 60.0]),
        "amount": number,
        "known": st.none() | number.map(round),
        "job": st.sampled_from([None, "clerk", "it's", "nurse"]),
        "level": st.sampled_from([None, "low", "high"]),
        "place": st.sampled_from([None, "Aachen", "Bonn"]),
        "active": st.booleans(),
    }
)
FIELDS = [*dict.fromkeys(each["column"] for each in DECLARED), "other"]
change = st.tuples(st.integers(0, MANY + 3), st.sampled_from(FIELDS), st.sampled_from([*ODD, "elsewhere"]))


def one_by_one(reader: RowReader, records: Sequence[dict[str, Any]]) -> tuple[list[Any], list[Problem]]:
    rows, problems = [], []
    for row, record in enumerate(records):
        try:
            rows.append(reader.rows([record])[0])
        except ContractViolation as err:
            problems += [replace(problem, row=row) for problem in err.problems]
    return rows, problems


def test_the_encodings_are_all_there_are() -> None:
    assert {each["as"] for each in DECLARED} == set(KINDS) - {"text", "embedding"}


def test_records_with_a_text_are_read_one_by_one() -> None:
    encodings = ENCODINGS.validate_python([{"column": "note", "as": "text"}, {"column": "amount", "as": "number"}])
    features = tuple(name for encoding in encodings for name in encoding.features)
    reader = RowReader(Encoder(encodings, {"note": ("good",)}, features))
    records = [{"note": "so good", "amount": 2}] * MANY
    assert reader.matrix(records) == reader.rows(records[:1]) * MANY


@settings(max_examples=300, deadline=None)
@given(
    records=st.lists(usual, min_size=MANY, max_size=MANY + 3),
    changes=st.lists(change, max_size=3),
    dropped=st.none() | st.tuples(st.integers(0, MANY - 1), st.sampled_from(FIELDS[:-1])),
    reader=st.sampled_from(READERS),
)
def test_columns_give_the_same_rows_and_problems_as_rows(
    records: list[dict[str, Any]], changes: list[Any], dropped: tuple[int, str] | None, reader: RowReader
) -> None:
    for row, field, value in changes:
        if row < len(records):
            records[row][field] = value
    if dropped is not None:
        records[dropped[0]].pop(dropped[1], None)
    rows, problems = one_by_one(reader, records)
    if problems:
        with pytest.raises(ContractViolation) as refused:
            reader.matrix(records)
        assert (refused.value.problems, refused.value.found) == (problems[:20], len(problems))
    else:
        assert np.array_equal(np.asarray(reader.matrix(records)), np.asarray(rows))


def test_many_ordinary_records_are_read_by_column() -> None:
    record = {"age": 41, "amount": 2.5, "known": 3, "job": "it's", "level": "high", "place": "Bonn", "active": True}
    assert isinstance(READERS[0].matrix([record] * MANY), np.ndarray)
    assert isinstance(READERS[0].matrix([record] * (MANY - 1)), list)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 10**400, 17, 17.5, 99.5, True, None, "18"], ids=repr)
@pytest.mark.parametrize("row", [0, 1, MANY - 1])
def test_one_odd_number_refuses_its_row_among_integers_and_floats(value: Any, row: int) -> None:
    record = {"age": 41, "amount": 2.5, "known": 3, "job": None, "level": None, "place": None, "active": True}
    for others in (record, record | {"age": 41.0}):
        records = [record, *[others] * (MANY - 1)]
        records[row] = record | {"age": value}
        with pytest.raises(ContractViolation) as refused:
            READERS[0].matrix(records)
        assert [(each.row, each.field) for each in refused.value.problems] == [(row, "age")]
