"""A feature table built from categories and doubles that need care, and the count of unlisted categories."""

import json
import re
from typing import Any

import pytest

from lakehouse.settings import PROJECT
from scoring.encodings import ENCODINGS
from tests.adapter.project import Project

LISTED = ["Bachelor's", "a\\b", 'say "hi"', "{{ x }}", "line\nbreak", "-- 7", "größer", ""]
CATEGORIES = [*LISTED, None, "Bachelors", "ab", "Bachelors"]  # the last three are not listed
AMOUNTS = [1e300, 1.2345678901234567e-18, None, 1e16, 0.1, -2.5, 18.5, 0.0, 1e14, 2.0, 3.0, -1e300]
RECORDS = [{"id": i, "x": x, "z": z} for i, (x, z) in enumerate(zip(CATEGORIES, AMOUNTS, strict=True))]
DECLARED: list[dict[str, Any]] = [
    {"column": "x", "as": "one_hot", "categories": LISTED},
    {"column": "x", "as": "ordinal", "categories": LISTED, "impute": "a\\b"},
    {"column": "z", "as": "number", "type": "double", "impute": 2.5},
    {"column": "z", "as": "cohort", "bounds": [0.5, 18.5, 1e16]},
]
RAW = """
import json
from datetime import datetime
def model(dbt, session):
    with open("people.json") as file:
        rows = [(row["id"], datetime(2024, 1, 1), row["x"], row["z"]) for row in json.load(file)]
    return session.createDataFrame(rows, "id bigint, at timestamp, x string, z double")
"""
FEATURES = f"""
{{% set encodings = {DECLARED!r} %}}
{{{{ config(meta={{'encodings': encodings}}) }}}}
select id, at, {{{{ encoded_features(encodings) }}}} from {{{{ ref('people') }}}}
"""
UNCOUNTED = (
    "select {{ encoded_features([{'column': 'x', 'as': 'one_hot', 'categories': ['a']}]) }} from {{ ref('people') }}"
)
ENCODINGS_OF_RECORDS = ENCODINGS.validate_python(DECLARED)
NAMES = [name for encoding in ENCODINGS_OF_RECORDS for name in encoding.features]
IN_YAML = [f"{{{{ {text!r} }}}}" if "{" in text else text for text in [*LISTED, "Bachelors", "ab"]]  # dbt renders it
ACCEPTED = {"accepted_values": {"arguments": {"values": IN_YAML}}}
BOUNDED = {"in_range": {"arguments": {"minimum": -1e300, "maximum": 1e300}}}
PLAIN = {"accepted_values": {"arguments": {"values": [z for z in AMOUNTS if z is not None], "quote": False}}}
COUNTED = {"listed_categories": {"arguments": {"relation": "ref('people')"}}}
NOT_NULL = {"constraints": [{"type": "not_null"}]}
PROPERTIES = {
    "models": [
        {
            "name": "people",
            "columns": [{"name": "x", "data_tests": [ACCEPTED]}, {"name": "z", "data_tests": [BOUNDED, PLAIN]}],
        },
        {
            "name": "features",
            "config": {"contract": {"enforced": True}},
            "data_tests": [COUNTED],
            "columns": [
                {"name": "id", "data_type": "bigint"},
                {"name": "at", "data_type": "timestamp"},
                *({"name": name, "data_type": "double" if name == "z" else "int", **NOT_NULL} for name in NAMES),
            ],
        },
    ],
    "unit_tests": [
        {
            "name": "texts_of_unit_tests_are_read_as_they_are",
            "model": "features",
            "given": [{"input": "ref('people')", "rows": [{"id": 1, "x": "a\\b"}, {"id": 2, "x": "Bachelor's"}]}],
            "expect": {"rows": [{"id": 1, "x_level": 2, "x_a_b": 1}, {"id": 2, "x_level": 1, "x_a_b": 0}]},
        }
    ],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the macros and data tests of this one and categories that need care."""
    ours = PROJECT / "dbt_project"
    files = [*(ours / "macros").glob("*.sql"), *(ours / "data_tests" / "generic").glob("*.sql")]
    shared = {f"macros/{file.name}": file.read_text(encoding="utf-8") for file in files}
    models = {
        "people.py": RAW,
        "features.sql": FEATURES,
        "uncounted.sql": UNCOUNTED,
        "models.yml": json.dumps(PROPERTIES),
    }
    files_of_models = {f"models/{name}": text for name, text in models.items()}
    data = {"people.json": json.dumps(RECORDS)}
    return Project.below(tmp_path_factory.mktemp("literals"), shared | files_of_models | data)


@pytest.fixture(scope="module")
def output(project: Project) -> str:
    return project.process("build")


@pytest.mark.usefixtures("output")
def test_a_built_feature_table_equals_the_requests(project: Project) -> None:
    gold = sorted(project.rows("gold.features"), key=lambda row: str(row["id"]).zfill(2))
    assert [row["id"] for row in gold] == [record["id"] for record in RECORDS]
    for encoding in ENCODINGS_OF_RECORDS:
        values = [record[encoding.column] for record in RECORDS]
        for name, column in encoding.encode(values, {}).items():
            assert [row[name] for row in gold] == column.tolist(), name
    assert [gold[row][name] for row, name in [(0, "x_bachelor_s"), (9, "x_bachelor_s"), (1, "x_a_b")]] == [1, 0, 1]
    assert [(row["z"], row["z_is_missing"]) for row in gold[:3]] == [
        (1e300, 0),
        (1.2345678901234567e-18, 0),
        (2.5, 1),
    ]


def test_rows_of_unlisted_categories_are_counted_in_the_build(output: str) -> None:
    assert re.search(r"WARN 3 listed_categories_features_ref_people", output), output


@pytest.mark.usefixtures("output")
def test_unlisted_categories_are_shown_by_name(project: Project) -> None:
    shown = project.dbt("show", "--select", "listed_categories_features_ref_people_", "--output", "json")
    rows = json.loads(shown[shown.index("{") :])["show"]
    assert sorted((row["column_name"], row["category"], row["row_count"]) for row in rows) == [
        ("x", "Bachelors", 2),
        ("x", "ab", 1),
    ]


def test_a_feature_table_that_counts_no_unlisted_categories_is_named(output: str) -> None:
    assert "uncounted lists categories, and no data test counts rows with other ones" in output
    assert "features lists categories" not in output
