"""Encodings: raw values to feature columns to one sparse matrix."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import Field, ValidationError

from lakehouse.settings import PROJECT
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS, KINDS, Encoding, Flag, index_tables, slug

INF, NAN = float("inf"), float("nan")


def encoding(**declared: Any) -> Encoding:
    return ENCODINGS.validate_python([declared | {"column": "c"}])[0]


def alone(one: Encoding, *categories: str, **options: Any) -> Encoder:
    """An encoder of one encoding, whose index has these categories."""
    return Encoder((one,), {"gold.i": ("", *categories)}, one.features, **options)


NUMBER = {"as": "number", "minimum": 1, "maximum": 9}
OPTIONAL = {"as": "number", "impute": 0}
DOUBLE = {"as": "number", "type": "double"}
FLAG = {"as": "flag"}
COHORT = {"as": "cohort", "bounds": [18, 50]}
ONE_HOT = {"as": "one_hot", "categories": ["red", "dark blue"]}
ORDINAL = {"as": "ordinal", "categories": ["low", "high"], "impute": "high"}
INDEX = {"as": "category_index", "index": "gold.i"}
TEXT = {"as": "text"}
EMBEDDING = {"as": "embedding"}


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
        (INDEX, ["anything", None], [1, True, ["a"], "", "anything else"]),
    ],
)
def test_an_encoding_accepts_only_its_values(declared: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    one = encoding(**declared)
    context = alone(one, "anything")
    assert [value for value in good if not one.accepts(value, context)] == []
    assert [value for value in bad if one.accepts(value, context)] == []


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


@pytest.mark.parametrize("rows_at_once", [3, 2**17])
def test_columns_of_any_width_make_the_same_matrix_in_any_number_of_parts(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scoring.encoder._ROWS_AT_ONCE", rows_at_once)
    ours = replace(encoder(tuple(f"place {i}" for i in range(300))), features=("n", "place_index", "age_cohort"))
    numbers = np.arange(20)
    wide = {"n": numbers % 2, "age_cohort": numbers % 4, "place_index": numbers * 7 % 100}
    narrow = {name: values.astype(np.int8) for name, values in wide.items()}
    found, expected = ours.matrix(narrow), np.zeros((20, 1 + 300 + 4))
    expected[numbers, 0] = wide["n"]
    expected[numbers, 1 + wide["place_index"]] = 1
    expected[numbers, 301 + wide["age_cohort"]] = 1
    assert found.values.toarray().tolist() == expected.tolist()
    assert found.values.has_canonical_format
    assert len(found.columns) == 305


def test_index_tables_are_listed_once() -> None:
    assert index_tables([encoding(**INDEX), encoding(**INDEX), encoding(**FLAG)]) == ["gold.i"]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (NUMBER, "integer at least 1 at most 9"),
        (OPTIONAL, "integer or null"),
        (DOUBLE | {"minimum": -0.5}, "double at least -0.5"),
        (FLAG, "true or false"),
        (COHORT, "a number or null"),
        (ONE_HOT, "one of red, dark blue or null"),
        (ORDINAL, "one of low, high or null"),
        (INDEX, "one of a, b or null"),
    ],
)
def test_an_encoding_describes_accepted_values(declared: dict[str, Any], expected: str) -> None:
    one = encoding(**declared)
    assert one.expected(alone(one, "a", "b")) == expected


@pytest.mark.parametrize("declared", [ONE_HOT, ORDINAL, INDEX])
def test_unlisted_categories_are_any_text_where_they_are_missing(declared: dict[str, Any]) -> None:
    one = encoding(**declared)
    context = alone(one, "a", unknown_categories="missing")
    assert one.expected(context) == "text or null"
    assert one.accepts("Atlantis", context) and not one.accepts(7, context)
    assert one.json_schema(context) == {"type": ["string", "null"]}


def test_every_kind_has_its_sql_macro() -> None:
    macros = (PROJECT / "dbt_project" / "macros" / "encodings.sql").read_text(encoding="utf-8")
    declared: list[dict[str, Any]] = [NUMBER, FLAG, COHORT, ONE_HOT, ORDINAL, INDEX, EMBEDDING, TEXT]
    assert [each["as"] for each in declared] == list(KINDS)
    assert [each["as"] for each in declared if f"macro {encoding(**each).sql_macro}(" not in macros] == []


def test_a_kind_cannot_be_defined_twice() -> None:
    with pytest.raises(TypeError, match="encoding 'flag' is defined twice: Flag and Second"):

        class Second(Flag):
            kind: Literal["flag"] = Field(alias="as")


@pytest.mark.parametrize(
    ("minimum", "maximum", "value", "taken"),
    [
        (0, 1, 0, True),
        (0, 1, 1, True),
        (0, 1, -1, False),
        (0, 1, 2, False),
        (0, None, 10**15, True),
        (None, 0, -1e15, True),
        (None, None, -0.0, True),
        (None, None, 10**15 + 1, False),
        (None, None, 1e300, False),
        (None, None, -float("inf"), False),
        (None, None, -(10**400), False),
        (None, None, complex(1), False),
    ],
)
def test_bounds_are_inclusive_and_optional(
    minimum: float | None, maximum: float | None, value: object, taken: bool
) -> None:
    number = encoding(**{"as": "number", "minimum": minimum, "maximum": maximum})
    assert number.accepts(value, alone(number)) is taken


@pytest.mark.parametrize(
    ("declared", "wrong"),
    [
        ({"as": "numbers"}, "numbers"),
        ({"as": "flag", "minimum": 1}, "Extra inputs are not permitted"),
        ({"as": "cohort", "bounds": []}, "at least 1 item"),
        ({"as": "one_hot", "categories": []}, "at least 1 item"),
        ({"as": "ordinal", "categories": ["low"]}, "impute"),
        ({"as": "category_index"}, "index"),
    ],
)
def test_an_invalid_declaration_is_refused(declared: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        encoding(**declared)


@pytest.mark.parametrize(
    ("category", "end"),
    [("admin.", "admin"), ("blue-collar", "blue_collar"), ("A  B", "a_b"), ("3rd", "3rd"), ("-x-", "x")],
)
def test_a_slug_is_lower_case_and_joined_by_single_underscores(category: str, end: str) -> None:
    assert slug(category) == end


def test_only_the_features_of_the_encoder_are_returned_in_its_order() -> None:
    encodings = ENCODINGS.validate_python(
        [{"column": "n", **OPTIONAL}, {"column": "flag", **FLAG}, {"column": "n", **COHORT}]
    )
    ours = Encoder(encodings, {}, ("n_cohort", "flag", "n"))
    features = ours.features_of([{"n": None, "flag": True}, {"n": 20, "flag": False}])
    assert list(features) == ["n_cohort", "flag", "n"]
    assert [column.tolist() for column in features.values()] == [[0, 2], [1, 0], [0, 20]]


def test_a_matrix_is_compressed_by_rows_and_stores_no_zero() -> None:
    ours = encoder(("", "a"))
    rows: list[dict[str, Any]] = [{"age": None, "place": "a", "n": 0.0}, {"age": 70, "place": None, "n": 2.0}]
    matrix = ours.matrix(ours.features_of(rows)).values
    assert matrix.format == "csr"
    assert matrix.dtype == np.float64
    assert matrix.data.tolist() == [1, 1, 2, 1, 1]


def test_an_index_of_eleven_thousand_categories_stores_one_value_a_row() -> None:
    ours = Encoder((encoding(**INDEX),), {"gold.i": ("", *(f"place {i}" for i in range(11_000)))}, ("c_index",))
    matrix = ours.matrix(ours.features_of([{"c": f"place {i}"} for i in (0, 10_999)] + [{"c": "elsewhere"}])).values
    assert matrix.shape == (3, 11_001)
    assert matrix.indices.tolist() == [1, 11_000, 0]
    assert matrix.data.tolist() == [1, 1, 1]


@pytest.mark.parametrize(("integer", "place"), [(0, 0), (1, 1), (2, 2), (3, 0), (70_000, 0)])
def test_an_integer_beyond_the_vocabulary_is_unknown(integer: int, place: int) -> None:
    ours = Encoder((encoding(**INDEX),), {"gold.i": ("", "a", "b")}, ("c_index",))
    assert ours.matrix({"c_index": np.array([float(integer)])}).values.indices.tolist() == [place]
