"""A version in words, and the data that it was made from."""

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as installed
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.types import DataType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.hooks import Hooks
from scoring.scorer import Answering, Scorer
from tests.unit.frames import ENCODER, alternating, by_time
from training.evaluation.bootstrap import Interval
from training.frame import splits
from training.frame.provenance import Provenance, provenance
from training.registry.description import describe
from training.registry.signature import input_example, requirements, signature
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.use_case.use_case import load

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATA = Provenance(
    {"gold.places": 0, "gold.clients": 12}, 38_429, NOON, NOON + timedelta(days=3), NOON, 4, "f" * 64, None
)
SURE = {"roc_auc": Interval(0.67391, 0.66, 0.68), "log_loss": Interval(0.5, 0.4, 0.6)}
WINNER = Trial(
    3,
    Candidate("logistic_regression", {"inverse_regularization": 0.123456, "penalty": "l1", "half_life": None}),
    {"roc_auc": 0.71239},
    ({"roc_auc": 0.7}, {"roc_auc": 0.72478}),
    timedelta(seconds=1),
)
FAILED = Trial(4, WINNER.candidate, {}, (), timedelta(seconds=1), error="it did not converge")
FOUND = SearchResult((WINNER, FAILED), "complete")


def version(**tags: str) -> ModelVersion:
    return cast(ModelVersion, SimpleNamespace(tags=tags))


def test_a_description_tells_the_model_its_metric_and_its_data_in_words() -> None:
    assert describe(FOUND, load("term_deposit"), DATA, SURE) == (
        "Logistic regression with inverse regularization 0.1235, penalty l1, half life None. "
        "roc_auc 0.7124 as the mean of 2 folds in order of time, the best of 2 trials. "
        "On the 4 rows of the holdout roc_auc 0.6739 (0.6600 to 0.6800), "
        "log_loss 0.5000 (0.4000 to 0.6000), with bounds of 95% confidence. "
        "Trained on 38,429 rows from 2026-01-01 to 2026-01-04 (the first version). "
        "Read from gold.clients (version 12), gold.places (version 0)."
    )


def test_a_description_tells_that_guessing_is_no_worse_and_how_the_search_ended() -> None:
    guess = Trial(0, Candidate("dummy", {}), {"roc_auc": 0.72}, ({"roc_auc": 0.72},), timedelta(0))
    told = describe(SearchResult((guess, WINNER), "out_of_time"), load("term_deposit"), DATA, SURE)
    assert "the best of 1 trial of a search that ran out of time. Guessing is no worse, and reaches 0.7200. " in told
    weak = replace(guess, metrics={"roc_auc": 0.5})
    assert "Guessing" not in describe(SearchResult((weak, WINNER), "complete"), load("term_deposit"), DATA, SURE)


@pytest.mark.parametrize(("family", "begins"), [("catboost", "CatBoost with"), ("xgboost", "XGBoost with")])
def test_a_description_begins_with_a_name_as_it_is_written(family: str, begins: str) -> None:
    winner = replace(WINNER, candidate=Candidate(family, {"learning_rate": 0.1}))
    assert describe(SearchResult((winner,), "complete"), load("term_deposit"), DATA, SURE).startswith(begins)


@pytest.mark.parametrize(("new_rows", "told"), [(0, "(0 rows newer than"), (1234, "(1,234 rows newer than")])
def test_a_description_tells_how_many_rows_are_new(new_rows: int, told: str) -> None:
    assert told in describe(FOUND, load("term_deposit"), replace(DATA, new_rows=new_rows), SURE)


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        replace(DATA, new_rows=0),
        replace(DATA, new_rows=3, new_from=NOON),
        replace(DATA, sources={}),
        replace(DATA, first=NOON.replace(microsecond=1), holdout_rows=0),
    ],
)
def test_provenance_survives_its_tags(data: Provenance) -> None:
    tags = data.tags()
    assert all(isinstance(text, str) for text in tags.values())
    assert Provenance.of_tags({"stage": "Production", **tags}) == data


def test_provenance_says_what_was_trained_on_and_what_it_is_judged_on() -> None:
    split = splits.split(alternating(100), by_time(holdout=0.2))
    data = provenance(split, by_time(), None)
    assert (data.rows, data.holdout_rows, data.new_rows) == (80, 20, None)
    assert (data.first, data.last) == (split.training.first, split.training.last)
    assert data.holdout_from == split.holdout.first == data.last + timedelta(days=1)
    assert (data.holdout_fingerprint, data.sources) == (split.holdout.fingerprint(), {"gold.t": 3})


@pytest.mark.parametrize(("days_before_the_last", "new_rows"), [(0, 0), (1, 1), (30, 30), (500, 80)])
def test_new_rows_came_after_the_last_row_of_the_version_before(days_before_the_last: int, new_rows: int) -> None:
    split = splits.split(alternating(100), by_time(holdout=0.2))
    last = split.training.last - timedelta(days=days_before_the_last)
    before = version(**replace(DATA, last=last).tags())
    data = provenance(split, by_time(), before)
    first_new = max(last + timedelta(days=1), split.training.first) if new_rows else None
    assert (data.new_rows, data.new_from) == (new_rows, first_new)


def test_a_version_without_provenance_counts_as_none_before() -> None:
    split = splits.split(alternating(100), by_time(holdout=0.2))
    assert provenance(split, by_time(), version(stage="Development")).new_rows is None


def test_a_signature_has_each_raw_column_once_and_the_fields_of_an_answer() -> None:
    encodings = ENCODINGS.validate_python(
        [
            {"column": "age", "as": "number"},
            {"column": "age", "as": "cohort", "bounds": [18]},
            {"column": "days", "as": "number", "impute": 0},
            {"column": "loan", "as": "flag"},
            {"column": "colour", "as": "one_hot", "categories": ["red"]},
            {"column": "level", "as": "ordinal", "categories": ["low"], "impute": "low"},
            {"column": "place", "as": "category_index", "index": "gold.i"},
        ]
    )
    made = signature(Scorer(None, Encoder(encodings, {}, ()), Answering(("probability", "label"), 0.5)))
    columns: list[Any] = [(column.name, column.type, column.required) for column in made.inputs]
    assert columns == [
        ("age", DataType.double, True),
        ("days", DataType.double, False),
        ("loan", DataType.boolean, True),
        ("colour", DataType.string, False),
        ("level", DataType.string, False),
        ("place", DataType.string, False),
    ]
    assert [(column.name, column.type) for column in made.outputs] == [
        ("probability", DataType.double),
        ("label", DataType.long),
    ]
    assert signature(Scorer(None, ENCODER, Answering(("label",), 0.5))).outputs.input_names() == ["label"]


def test_a_signature_is_what_passes_outside_of_the_hooks() -> None:
    golden = {"customerAge": 41, "isNew": True, "share": 0.5, "salesChannel": "app"}
    samples = Answering(("label", "probability"), 0.5).samples()
    hooks = "scoring.hooks.app_wording:to_columns", "scoring.hooks.app_wording:to_app"
    made = signature(
        Scorer(None, ENCODER, Answering(("label", "probability"), 0.5), Hooks.find(*hooks, golden, samples))
    )
    assert [(column.name, column.type, column.required) for column in made.inputs] == [
        ("customerAge", DataType.double, False),
        ("isNew", DataType.boolean, False),
        ("share", DataType.double, False),
        ("salesChannel", DataType.string, False),
    ]
    assert [(column.name, column.type) for column in made.outputs] == [
        ("verdict", DataType.string),
        ("percent", DataType.long),
    ]


def test_an_example_is_the_golden_request_as_pandas_has_it() -> None:
    scorer = Scorer(None, ENCODER, Answering(("label",), 0.5))
    example = input_example({"amount": 2, "place": None, "known": None}, signature(scorer).inputs)
    assert example.dtypes.astype(str).to_dict() == {"amount": "float64", "place": "object", "known": "float64"}
    assert example["amount"].tolist() == [2.0]
    assert example["known"].isna().all()


def test_a_version_requires_what_its_parts_come_from_and_nothing_else() -> None:
    fitted = Pipeline([("model", LogisticRegression())])
    plain = requirements(Scorer(fitted, ENCODER, Answering(("label",), 0.5)))
    assert [line.partition("==")[0] for line in plain] == [
        "mlflow", "numpy", "pandas", "pydantic", "scikit-learn", "scipy", "skops",
    ]  # fmt: skip
    assert f"skops=={installed('skops')}" in plain
    foreign = Pipeline([("model", functools.partial(yaml.safe_dump))])
    (extra,) = set(requirements(Scorer(foreign, ENCODER, Answering(("label",), 0.5)))) - set(plain)
    assert extra == f"PyYAML=={installed('PyYAML')}"


@pytest.mark.parametrize(
    ("mine", "theirs", "saw"),
    [
        ({}, {}, False),
        ({"last": datetime(2020, 6, 1, tzinfo=UTC)}, {}, True),
        ({"holdout_entities": 0.2}, {"holdout_entities": 0.2}, False),
        ({"holdout_entities": 0.3}, {"holdout_entities": 0.2}, False),
        ({"holdout_entities": 0.1}, {"holdout_entities": 0.2}, True),
        ({}, {"holdout_entities": 0.2}, True),
    ],
)
def test_a_version_saw_a_holdout_that_it_did_not_keep_out(
    mine: dict[str, Any], theirs: dict[str, Any], saw: bool
) -> None:
    data = provenance(splits.split(alternating(100), by_time(holdout=0.2)), by_time(), None)
    assert replace(data, **mine).saw(replace(data, **theirs)) is saw
    tags = replace(data, **theirs).tags()
    assert Provenance.of_tags(tags) == replace(data, **theirs)
