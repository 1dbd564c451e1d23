"""Encodings: raw values to feature columns to one sparse matrix."""

from typing import Any

import numpy as np
import pytest

from training.encoding import ENCODINGS, Encoder, Encoding, index_tables

INF, NAN = float("inf"), float("nan")


def encoding(**declared: Any) -> Encoding:
    return ENCODINGS.validate_python([declared | {"column": "c"}])[0]


NUMBER = {"as": "number", "minimum": 1, "maximum": 9}
OPTIONAL = {"as": "number", "impute": 0}
DOUBLE = {"as": "number", "type": "double"}
FLAG = {"as": "flag"}
COHORT = {"as": "cohort", "bounds": [18, 50]}
ONE_HOT = {"as": "one_hot", "categories": ["red", "dark blue"]}
ORDINAL = {"as": "ordinal", "categories": ["low", "high"], "impute": "high"}
INDEX = {"as": "category_index", "index": "gold.i"}


@pytest.mark.parametrize(
    ("declared", "values", "features"),
    [
        (NUMBER, [1, 9.0], {"c": [1, 9]}),
        (OPTIONAL, [None, 7], {"c": [0, 7], "c_is_missing": [1, 0]}),
        (FLAG, [True, False], {"c": [1, 0]}),
        (COHORT, [None, 17, 18, 49, 50, 99], {"c_cohort": [0, 1, 2, 2, 3, 3]}),
        (ONE_HOT, ["red", "dark blue", None], {"c_red": [1, 0, 0], "c_dark_blue": [0, 1, 0]}),
        (ORDINAL, ["low", "high", None], {"c_level": [1, 2, 2], "c_is_missing": [0, 0, 1]}),
        (INDEX, ["b", "a", "new", None, ""], {"c_index": [2, 1, 0, 0, 0]}),
    ],
)
def test_values_become_features(
    declared: dict[str, Any], values: list[Any], features: dict[str, list[float]]
) -> None:
    encoded = encoding(**declared).encode(values, {"gold.i": ("", "a", "b")})
    assert {name: column.tolist() for name, column in encoded.items()} == features


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        (NUMBER, [1, 9, 5.0], [0, 10, 5.5, None, "5", True, NAN, INF, 10**400]),
        (OPTIONAL, [None, -3], ["", False, NAN]),
        (DOUBLE, [5.5, -1], [None, INF, "x", 10**400]),
        (FLAG, [True, False], [0, 1, None, "true"]),
        (COHORT, [None, 3, 3.5], ["3", NAN, True]),
        (ONE_HOT, ["red", None], ["Red", "", 1, ["red"]]),
        (ORDINAL, ["low", None], ["mid", 1]),
        (INDEX, ["anything", None], [1, True, ["a"]]),
    ],
)
def test_only_values_of_the_kind_are_accepted(declared: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    kind = encoding(**declared)
    assert [value for value in good if not kind.accepts(value)] == []
    assert [value for value in bad if kind.accepts(value)] == []


def encoder(vocabulary: tuple[str, ...]) -> Encoder:
    encodings = ENCODINGS.validate_python(
        [{"column": "age", **COHORT}, {"column": "place", **INDEX}, {"column": "n", **DOUBLE}]
    )
    return Encoder(encodings, {"gold.i": vocabulary}, ("n", "age_cohort", "place_index"))


def test_index_columns_become_blocks_in_the_order_of_the_features() -> None:
    ours = encoder(("", "a", "b"))
    matrix = ours.matrix(
        ours.features_of([{"age": 18, "place": "b", "n": 0.5}, {"age": None, "place": "z", "n": 0.0}])
    )
    assert matrix.columns == (
        *("n", "age_cohort=0", "age_cohort=1", "age_cohort=2", "age_cohort=3"),
        *("place_index=0", "place_index=1", "place_index=2"),
    )
    assert matrix.values.toarray().tolist() == [[0.5, 0, 0, 1, 0, 0, 0, 1], [0, 1, 0, 0, 0, 1, 0, 0]]


def test_eleven_thousand_categories_cost_one_stored_value_a_row() -> None:
    ours = encoder(("", *(f"place {i}" for i in range(11_000))))
    rows = [{"age": 30, "place": f"place {i}", "n": 1.0} for i in range(500)]
    matrix = ours.matrix(ours.features_of(rows)).values
    assert matrix.shape == (500, 1 + 4 + 11_001)
    assert matrix.nnz == 500 * 3


def test_a_category_newer_than_the_vocabulary_is_unknown() -> None:
    ours = encoder(("", "a"))
    columns = {"n": np.zeros(1), "age_cohort": np.ones(1), "place_index": np.array([7.0])}
    assert ours.matrix(columns).values.toarray()[0, -2:].tolist() == [1, 0]


def test_index_tables_are_named_once() -> None:
    assert index_tables([encoding(**INDEX), encoding(**INDEX), encoding(**FLAG)]) == ["gold.i"]
