"""Key lookup: stored features, sent values, the lookback and unknown keys."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from scoring.contract import ContractViolation
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.key_lookup import DAY, KeyedRows, KeyLookup, Online

ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            {"column": "age", "as": "cohort", "bounds": [18, 50]},
            {"column": "place", "as": "category_index", "index": "gold.i"},
            {"column": "n", "as": "number", "type": "double"},
        ]
    ),
    {"gold.i": ("", "a", "b")},
    ("n", "age_cohort", "place_index"),
)
NOW = 1_700_000_000.0
KNOWN = {"n": 0.5, "age_cohort": 2.0, "place_index": 1.0}


@dataclass(frozen=True)
class Stored:
    as_of: int
    features: dict[str, float | None]


def keyed(features: dict[str, float | None] | None = None, days_old: int = 1, **fields: Any) -> KeyedRows:
    """Rows for a model with one online table, which has client 7."""
    stored = Stored(int(NOW * 1e6) - days_old * DAY, dict(KNOWN) if features is None else features)
    online: Online = lambda table, key: stored if (table, key) == ("gold.t", (7,)) else None  # noqa: E731
    lookup = KeyLookup.of({"keys": ["client"], "tables": {"gold.t": []}} | fields)
    return KeyedRows(lookup, ENCODER, online, lambda: NOW)


def test_a_record_with_only_a_key_gets_the_stored_row() -> None:
    assert keyed().rows([{"client": 7}]) == [[0.5, 2.0, 1.0]]


def test_sent_values_replace_stored_ones() -> None:
    assert keyed().rows([{"client": 7, "place": "b"}, {"client": 7, "age": 17, "n": 3}]) == [
        [0.5, 2.0, 2.0],
        [3.0, 1.0, 1.0],
    ]


def test_a_record_without_a_key_needs_every_other_field() -> None:
    whole = {"age": 60, "place": "a", "n": 1.5}
    assert keyed().rows([whole, {"client": 7}]) == [[1.5, 3.0, 1.0], [0.5, 2.0, 1.0]]


@pytest.mark.parametrize(
    ("record", "field", "expected"),
    [
        ({"client": 8}, "client", "a key of gold.t"),
        ({"client": 1.5}, "client", "a whole number or text"),
        ({"client": True}, "client", "a whole number or text"),
        ({"client": None}, "client", "a whole number or text"),
        ({"client": 7, "plcae": "b"}, "plcae", "no such field. Did you mean 'place'"),
        ({"client": 7, "n": "3"}, "n", "double"),
        ({"place": "b"}, "client", "or else every other field"),
        ({"cleint": 7}, "client", "or else every other field"),
        ({"place": "b", "age": "x", "n": 1}, "age", "a number or null"),
    ],
)
def test_a_problem_has_the_row_of_its_record(record: dict[str, Any], field: str, expected: str) -> None:
    with pytest.raises(ContractViolation) as refused:
        keyed().rows([{"client": 7}, record])
    problem = refused.value.problems[0]
    assert (problem.row, problem.field) == (1, field) and expected in problem.expected


def test_problems_of_several_records_are_reported_together() -> None:
    with pytest.raises(ContractViolation) as refused:
        keyed().rows([{"client": 8}, {"client": 7}, {"client": 9, "n": 1}, {"client": None}])
    problems = [(problem.row, problem.field, problem.got) for problem in refused.value.problems]
    assert problems == [(0, "client", "8"), (2, "client", "9"), (3, "client", "null")]


def test_an_unknown_key_gets_the_defaults_if_the_use_case_allows_it() -> None:
    rows = keyed(unknown="defaults", defaults={"n": 9.0, "place": "b"})
    assert rows.rows([{"client": 8}, {"client": 8, "n": 1}]) == [[9.0, 0.0, 2.0], [1.0, 0.0, 2.0]]


def test_a_stored_row_beyond_the_lookback_is_not_used() -> None:
    assert keyed(days_old=2, lookback_days={"gold.t": 3}).rows([{"client": 7}])
    with pytest.raises(ContractViolation, match=r"a key of gold\.t"):
        keyed(days_old=4, lookback_days={"gold.t": 3}).rows([{"client": 7}])


def test_a_feature_missing_from_every_table_is_refused() -> None:
    with pytest.raises(ContractViolation, match=r"a key with a value for 'n' in gold\.t"):
        keyed(KNOWN | {"n": None}).rows([{"client": 7}])
    with pytest.raises(ContractViolation, match=r"a key with a value for 'n' in gold\.t"):
        keyed(tables={"gold.t": ["n"]}).rows([{"client": 7}])


def test_a_stored_row_without_a_number_that_may_be_missing_is_predicted() -> None:
    kept = {"column": "n", "as": "number", "type": "double", "missing": "keep"}
    encodings = (*ENCODER.encodings[:2], *ENCODINGS.validate_python([kept]))
    online: Online = lambda _table, _key: Stored(int(NOW * 1e6), KNOWN | {"n": None})  # noqa: E731
    lookup = KeyLookup.of({"keys": ["client"], "tables": {"gold.t": []}})
    rows = KeyedRows(lookup, replace(ENCODER, encodings=encodings), online, lambda: NOW)
    (stored, sent) = rows.rows([{"client": 7}, {"client": 7, "n": 2.0}])
    assert str(stored) == "[nan, 2.0, 1.0]"
    assert sent == [2.0, 2.0, 1.0]
    (unsent,) = rows.rows([{"client": 7, "n": None}])
    assert str(unsent) == "[nan, 2.0, 1.0]"
