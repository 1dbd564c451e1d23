"""Literals of the macros: every text and number reaches the engine as it is and is encoded as in a request."""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from dbt_common.exceptions import CompilationError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.harness.jvm_spark import available
from lakehouse.session import new_session, open_session
from lakehouse.settings import PROJECT
from scoring.encodings import ENCODINGS, slug
from tests.dbt.jinja import context_with_macros

ODD = [
    "Bachelor's",
    "''",
    "a\\b",
    "\\",
    "\\'",
    '"',
    "\n",
    "x\r\ny",
    "",
    " ",
    "--",
    "/*",
    "{{ x }}",
    "{%",
    "%",
    "\\u0041",
]
ODD += ["\0", "ä", "😀", "${x}", "; drop table t", "unknown", "NULL", "Bachelors", "ab"]
TEXTS = st.text(max_size=8) | st.sampled_from(ODD)  # any text that UTF-8 can hold
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
MACROS = context_with_macros(
    "literals.sql", "encodings.sql", "german_states.sql", model={"resource_type": "unit_test"}
)
DOUBLES = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6)


def select(columns: str, values: Sequence[Any], kind: pa.DataType) -> dict[str, list[Any]]:
    """Result of a query over the column `x`, whose values reach the engine without SQL."""
    session = open_session()
    table = pa.table({"row": pa.array(range(len(values)), pa.int64()), "x": pa.array(values, kind)})
    session.createDataFrame(table).createOrReplaceTempView("literals_input")
    return session.sql(f"select row, {columns} from literals_input order by row").toArrow().to_pydict()  # type: ignore[no-any-return]


def gold_and_request(
    declared: list[dict[str, Any]], values: Sequence[Any], kind: pa.DataType
) -> tuple[dict[str, list[Any]], dict[str, list[float]]]:
    """Feature columns by SQL on the engine, and by the encodings of requests."""
    gold = select(MACROS["encoded_features"](declared), values, kind)
    request = {
        name: column.tolist()
        for encoding in ENCODINGS.validate_python(declared)
        for name, column in encoding.encode(values, {}).items()
    }
    return {name: gold[name] for name in request}, request


@given(st.lists(TEXTS, min_size=1, max_size=30))
@example(ODD)
def test_every_text_is_read_back_as_it_is(texts: list[str]) -> None:
    columns = ", ".join(f"{MACROS['sql_text'](text)} as c{index}" for index, text in enumerate(texts))
    result = open_session().sql(f"select {columns}").toArrow().to_pylist()[0]
    assert list(result.values()) == texts


@given(st.lists(NUMBERS, min_size=1, max_size=30))
@example([1.2345678901234567e-18, 1e300, 5e-324, -0.0, 2.0, 2**63 - 1, 2**63, -(2**63)])
def test_every_number_is_read_back_as_it_is(numbers: list[float]) -> None:
    columns = ", ".join(f"{MACROS['sql_number'](number)} as c{index}" for index, number in enumerate(numbers))
    result = open_session().sql(f"select {columns}").toArrow().to_pylist()[0]
    exact = [n if isinstance(n, int) and abs(n) < 2**63 else float(n) for n in numbers]
    assert [(type(value), value) for value in result.values()] == [(type(value), value) for value in exact]


@settings(max_examples=30)
@given(
    st.lists(TEXTS, min_size=1, max_size=8, unique=True), st.lists(st.none() | TEXTS, max_size=8), st.integers(0, 7)
)
@example(ODD, [*ODD, None, "Bachelors", "ab", "a\\\\b"], 0)
def test_any_category_is_encoded_as_in_a_request(
    categories: list[str], others: list[str | None], impute: int
) -> None:
    one_hot = list({slug(category): category for category in categories}.values())
    declared: list[dict[str, Any]] = [
        {"column": "x", "as": "one_hot", "categories": one_hot},
        {"column": "x", "as": "ordinal", "categories": categories, "impute": categories[impute % len(categories)]},
    ]
    gold, request = gold_and_request(declared, [*categories, *others], pa.string())
    assert gold == request


@settings(max_examples=30)
@given(NUMBERS, st.lists(NUMBERS, min_size=1, max_size=4, unique=True), DOUBLES)
@example(2.5, [18.5, 1e16], [None, 1e300, 1.2345678901234567e-18, 1e16, 18.5, 1e14])
def test_any_double_is_encoded_as_in_a_request(
    impute: float, bounds: list[float], values: list[float | None]
) -> None:
    declared: list[dict[str, Any]] = [
        {"column": "x", "as": "number", "type": "double", "impute": impute},
        {"column": "x", "as": "cohort", "bounds": sorted({float(bound) for bound in bounds})},
    ]
    gold, request = gold_and_request(declared, values, pa.float64())
    assert gold == request
    assert all(isinstance(value, float) for value in gold["x"])


@pytest.mark.jvm
@pytest.mark.skipif(not available(), reason="no java on the PATH")
def test_jvm_spark_reads_the_same_literals(jvm_spark: str) -> None:
    numbers = [2.5, 1e300, 1.2345678901234567e-18, 5e-324, 2.0, 2**63 - 1, 1e16]
    literals = [*(MACROS["sql_text"](text) for text in ODD), *(MACROS["sql_number"](number) for number in numbers)]
    session = new_session(jvm_spark)
    row = session.sql("select " + ", ".join(f"{literal} as c{index}" for index, literal in enumerate(literals)))
    assert list(row.toArrow().to_pylist()[0].values()) == [*ODD, *numbers]


@pytest.mark.parametrize(
    ("macro", "value", "message"),
    [
        ("sql_text", None, "sql_text needs a text, not None"),
        ("sql_number", "2.5", 'sql_number needs a finite number, not "2.5"'),
        ("sql_number", None, "sql_number needs a finite number, not null"),
        ("sql_number", True, "sql_number needs a finite number, not true"),
        ("sql_number", float("inf"), "sql_number needs a finite number, not Infinity"),
    ],
)
def test_what_is_no_literal_is_refused(macro: str, value: Any, message: str) -> None:
    with pytest.raises(CompilationError, match=message):
        MACROS[macro](value)


def test_an_imputed_category_outside_the_list_is_refused() -> None:
    with pytest.raises(CompilationError, match="ordinal: impute 'z' of column 'x' is not among its categories: a, b"):
        MACROS["ordinal"]("x", ["a", "b"], "z")


def test_no_macro_or_model_quotes_an_expression_by_hand() -> None:
    files = [file for file in (PROJECT / "dbt_project").rglob("*.sql") if "adapter" not in file.parts]
    by_hand = [file.name for file in files if re.search(r"""['"]\{[{%]""", file.read_text(encoding="utf-8"))]
    assert len(files) > 20 and by_hand == []
