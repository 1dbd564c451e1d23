"""Raw inputs read back from feature columns match the records."""

from typing import Any

import numpy as np
import pytest

from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from training.frame.raw_inputs import groups
from training.report.input_values import categorical, reading

ENCODINGS_OF_ALL = ENCODINGS.validate_python(
    [
        {"column": "age", "as": "number", "impute": 40},
        {"column": "age", "as": "cohort", "bounds": [18, 19, 30]},
        {"column": "state", "as": "one_hot", "categories": ["Berlin", "Hamburg"]},
        {"column": "education", "as": "ordinal", "categories": ["primary", "secondary"], "impute": "secondary"},
        {"column": "owner", "as": "flag"},
        {"column": "place", "as": "category_index", "index": "gold.places"},
        {"column": "street", "as": "category_index", "index": "gold.streets"},
    ]
)
VOCABULARIES = {"gold.places": ("", "Aachen"), "gold.streets": ("", *(f"street {i}" for i in range(50)))}
RECORDS: list[dict[str, Any]] = [
    {"age": 18, "state": "Hamburg", "education": None, "owner": True, "place": "Aachen", "street": "street 3"},
    {"age": None, "state": None, "education": "secondary", "owner": False, "place": "Celle", "street": "nowhere"},
    {"age": 50, "state": "Berlin", "education": "primary", "owner": True, "place": None, "street": "street 49"},
]


@pytest.fixture
def encoder() -> Encoder:
    features = [name for encoding in ENCODINGS_OF_ALL for name in encoding.features]
    return Encoder(ENCODINGS_OF_ALL, VOCABULARIES, tuple(features))


def test_only_inputs_with_few_categories_are_read_back(encoder: Encoder) -> None:
    found = categorical(encoder, encoder.features_of(RECORDS))
    read = {each.label: [each.names[index] for index in each.indices] for each in found}
    assert read == {
        "age cohort": ["18", "unknown", "30 and above"],
        "state": ["Hamburg", "unknown", "Berlin"],
        "education": ["unknown", "secondary", "primary"],
        "owner": ["true", "false", "true"],
        "place": ["Aachen", "unknown", "unknown"],
    }


def test_columns_of_one_input_are_one_group(encoder: Encoder) -> None:
    found = groups(encoder)
    assert found["age"] == ("age", "age_is_missing", "age_cohort")
    assert found["state"] == ("state_berlin", "state_hamburg")
    assert sum(len(group) for group in found.values()) == len(encoder.features)


def test_an_incomplete_input_is_not_read_back(encoder: Encoder) -> None:
    part = Encoder(
        encoder.encodings, VOCABULARIES, tuple(name for name in encoder.features if name != "state_berlin")
    )
    features = {name: values for name, values in encoder.features_of(RECORDS).items() if name in part.features}
    assert "state" not in [each.label for each in categorical(part, features)]
    assert groups(part)["state"] == ("state_hamburg",)


@pytest.mark.parametrize(
    ("column", "texts", "levels"),
    [
        ("age", ["18", "40", "50"], [18, 40, 50]),
        ("state", ["Hamburg", "unknown", "Berlin"], None),
        ("street", ["street 3", "unknown", "street 49"], None),
        ("education", ["unknown", "secondary", "primary"], [0, 2, 1]),
        ("owner", ["true", "false", "true"], [1, 0, 1]),
    ],
)
def test_readings_match_the_records(
    encoder: Encoder, column: str, texts: list[str], levels: list[float] | None
) -> None:
    found = reading(column, encoder, encoder.features_of(RECORDS))
    assert found.texts == texts
    assert (None if found.levels is None else found.levels.tolist()) == levels
    assert found.levels is None or found.levels.dtype == np.float64


def test_a_number_with_a_cohort_alone_is_read_as_its_cohort(encoder: Encoder) -> None:
    part = Encoder(encoder.encodings, VOCABULARIES, ("age_cohort",))
    found = reading("age", part, {"age_cohort": encoder.features_of(RECORDS)["age_cohort"]})
    assert found.texts == ["18", "unknown", "30 and above"]
    assert found.levels is not None, "cohorts have an order"
    assert found.levels.tolist() == [2, 0, 4]
