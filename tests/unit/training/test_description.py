"""The description, provenance, signature and requirements of a version."""

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as installed
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.types import DataType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.hooks import Hooks
from scoring.scorer import ResponseFormat, Scorer
from tests.unit.frames import ENCODER, alternating, by_time
from training.evaluation.bootstrap import Interval
from training.frame import splits
from training.frame.provenance import Provenance, provenance
from training.registry.description import data_notes, describe
from training.registry.signature import ANY_NUMBER, input_example, requirements, signature
from training.search.ensemble_candidates import blend_candidate
from training.search.result import SearchResult
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.use_case.split import SplitPlan
from training.use_case.use_case import load

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DATA = Provenance(
    {"gold.places": 0, "gold.clients": 12}, 38_429, NOON, NOON + timedelta(days=3), NOON, 4, "f" * 64, None
)
HOLDOUT_METRICS = {"roc_auc": Interval(0.67391, 0.66, 0.68), "log_loss": Interval(0.5, 0.4, 0.6)}
WINNER = Trial(
    3,
    Candidate("logistic_regression", {"inverse_regularization": 0.123456, "penalty": "l1", "half_life": None}),
    {"roc_auc": 0.71239},
    ({"roc_auc": 0.7}, {"roc_auc": 0.72478}),
    timedelta(seconds=1),
)
FAILED = Trial(4, WINNER.candidate, {}, (), timedelta(seconds=1), error="it did not converge")
RESULT = SearchResult((WINNER, FAILED), "complete")


def version(**tags: str) -> ModelVersion:
    return cast(ModelVersion, SimpleNamespace(tags=tags))


def test_description_lists_labelled_facts_of_model_search_holdout_and_data() -> None:
    notes = ("Calibration: sigmoid", "Decision threshold: 0.5")
    assert describe(RESULT, load("term_deposit"), DATA, HOLDOUT_METRICS, notes).splitlines() == [
        "Model: Logistic regression (inverse regularization 0.1235, penalty l1, half life None)",
        "Search: roc_auc 0.7124, mean of 2 folds in order of time; best of 2 trials",
        "Holdout: roc_auc 0.6739 (95% interval 0.6600 to 0.6800), log_loss 0.5000 (95% interval 0.4000 to 0.6000), "
        "4 rows",
        "Calibration: sigmoid",
        "Decision threshold: 0.5",
        "Trained on: 38,429 rows, 2026-01-01 to 2026-01-04; first version",
        "Data: gold.clients v12, gold.places v0",
    ]


def test_description_names_an_unbeaten_baseline_and_a_search_cut_short() -> None:
    baseline = Trial(0, Candidate("dummy", {}), {"roc_auc": 0.72}, ({"roc_auc": 0.72},), timedelta(0))
    lines = describe(SearchResult((baseline, WINNER), "out_of_time"), load("term_deposit"), DATA, HOLDOUT_METRICS)
    assert "; best of 1 trial; search ran out of time\nBaseline: not beaten; it reaches roc_auc 0.7200\n" in lines
    weak = replace(baseline, metrics={"roc_auc": 0.5})
    beaten = describe(SearchResult((weak, WINNER), "complete"), load("term_deposit"), DATA, HOLDOUT_METRICS)
    assert "Baseline" not in beaten
    assert "Search: roc_auc 0.7124 (baseline 0.5000), mean of 2 folds" in beaten


def test_description_shows_the_baseline_beside_each_metric_of_the_holdout() -> None:
    baseline = {"roc_auc": 0.5, "log_loss": 0.4, "accuracy": 0.9}
    text = describe(RESULT, load("term_deposit"), DATA, HOLDOUT_METRICS, (), baseline)
    assert "Holdout: roc_auc 0.6739 (baseline 0.5000, 95% interval 0.6600 to 0.6800), log_loss 0.5000 (b" in text
    assert "\nBaseline on the holdout: not beaten; it reaches log_loss 0.4000\n" in text


def test_description_counts_the_trials_that_the_search_proposed() -> None:
    baseline = Trial(0, Candidate("dummy", {}), {"roc_auc": 0.5}, ({"roc_auc": 0.5},), timedelta(0))
    blend = Trial(5, blend_candidate([(0.5, WINNER.candidate), (0.5, FAILED.candidate)]), {}, (), timedelta(0))
    blended = SearchResult((baseline, WINNER, FAILED, blend), "complete")
    assert "; best of 2 trials and a blend\n" in describe(blended, load("term_deposit"), DATA, HOLDOUT_METRICS)


def test_notes_name_constant_features_seen_entities_and_the_gap() -> None:
    rows = replace(alternating(100), keys=np.arange(100) % 90)
    plan = SplitPlan(holdout=0.2, gap=3)
    assert list(data_notes(splits.training_split(rows, plan), plan)) == [
        "Constant features: known_is_missing (0); left out of the model",
        "Entities: 10 of 20 holdout rows (50.0%) are of entities with training rows",
        "Gap: 3 days before the holdout and each fold; 2 rows dropped before the holdout",
    ]


def test_description_lists_left_out_inputs() -> None:
    params = {"n_neighbors": 5, "without.job": True, "without.age": True, "without.day": False}
    winner = replace(WINNER, candidate=Candidate("knn", params))
    lines = describe(SearchResult((winner,), "complete"), load("term_deposit"), DATA, HOLDOUT_METRICS).splitlines()
    assert lines[0].endswith("(n neighbors 5)")
    assert lines[1] == "Left-out inputs: age, job"


def test_description_of_one_fold_has_no_mean() -> None:
    winner = replace(WINNER, per_fold=WINNER.per_fold[:1])
    text = describe(SearchResult((winner,), "complete"), load("term_deposit"), DATA, HOLDOUT_METRICS)
    assert "Search: roc_auc 0.7124, one fold; best of 1 trial\n" in text


@pytest.mark.parametrize(("family", "name"), [("catboost", "CatBoost"), ("xgboost", "XGBoost")])
def test_description_spells_the_name_of_the_family(family: str, name: str) -> None:
    winner = replace(WINNER, candidate=Candidate(family, {"learning_rate": 0.1}))
    text = describe(SearchResult((winner,), "complete"), load("term_deposit"), DATA, HOLDOUT_METRICS)
    assert text.startswith(f"Model: {name} (learning rate 0.1)\n")


@pytest.mark.parametrize(
    ("new_rows", "expected"), [(0, "; 0 rows newer than the previous version\n"), (1234, "; 1,234 rows newer than")]
)
def test_description_counts_new_rows(new_rows: int, expected: str) -> None:
    text = describe(RESULT, load("term_deposit"), replace(DATA, new_rows=new_rows), HOLDOUT_METRICS)
    assert expected in text
    dated = describe(RESULT, load("term_deposit"), replace(DATA, new_rows=3, new_from=NOON), HOLDOUT_METRICS)
    assert "; 3 rows newer than the previous version, from 2026-01-01 on\n" in dated


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
def test_provenance_round_trips_through_tags(data: Provenance) -> None:
    tags = data.tags()
    assert all(isinstance(text, str) for text in tags.values())
    assert Provenance.from_tags({"stage": "Production", **tags}) == data


def test_provenance_describes_training_rows_and_holdout() -> None:
    split = splits.split(alternating(100), by_time(holdout=0.2))
    data = provenance(split, by_time(), None)
    assert (data.rows, data.holdout_rows, data.new_rows) == (80, 20, None)
    assert (data.first, data.last) == (split.training.first, split.training.last)
    assert data.holdout_from == split.holdout.first == data.last + timedelta(days=1)
    assert (data.holdout_fingerprint, data.sources) == (split.holdout.fingerprint(), {"gold.t": 3})


@pytest.mark.parametrize(("days_before_last", "new_rows"), [(0, 0), (1, 1), (30, 30), (500, 80)])
def test_new_rows_are_later_than_the_previous_version(days_before_last: int, new_rows: int) -> None:
    split = splits.split(alternating(100), by_time(holdout=0.2))
    last = split.training.last - timedelta(days=days_before_last)
    before = version(**replace(DATA, last=last).tags())
    data = provenance(split, by_time(), before)
    first_new = max(last + timedelta(days=1), split.training.first) if new_rows else None
    assert (data.new_rows, data.new_from) == (new_rows, first_new)


def test_a_previous_version_without_provenance_is_ignored() -> None:
    split = splits.split(alternating(100), by_time(holdout=0.2))
    assert provenance(split, by_time(), version(stage="Development")).new_rows is None


def test_signature_lists_raw_columns_and_response_fields() -> None:
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
    made = signature(Scorer(None, Encoder(encodings, {}, ()), ResponseFormat(("probability", "label"), 0.5)))
    columns: list[Any] = [(column.name, column.type, column.required) for column in made.inputs]
    assert columns == [
        ("age", ANY_NUMBER, True),
        ("days", ANY_NUMBER, False),
        ("loan", DataType.boolean, True),
        ("colour", DataType.string, False),
        ("level", DataType.string, False),
        ("place", DataType.string, False),
    ]
    assert [(column.name, column.type) for column in made.outputs] == [
        ("probability", DataType.double),
        ("label", DataType.long),
    ]
    assert signature(Scorer(None, ENCODER, ResponseFormat(("label",), 0.5))).outputs.input_names() == ["label"]


def test_signature_follows_the_hooks() -> None:
    golden = {"customerAge": 41, "isNew": True, "share": 0.5, "salesChannel": "app"}
    samples = ResponseFormat(("label", "probability"), 0.5).samples()
    hooks = "scoring.hooks.app_wording:to_columns", "scoring.hooks.app_wording:to_app"
    made = signature(
        Scorer(None, ENCODER, ResponseFormat(("label", "probability"), 0.5), Hooks.find(*hooks, golden, samples))
    )
    assert [(column.name, column.type, column.required) for column in made.inputs] == [
        ("customerAge", ANY_NUMBER, False),
        ("isNew", DataType.boolean, False),
        ("share", ANY_NUMBER, False),
        ("salesChannel", DataType.string, False),
    ]
    assert [(column.name, column.type) for column in made.outputs] == [
        ("verdict", DataType.string),
        ("percent", DataType.long),
    ]


def test_input_example_is_the_golden_request_as_a_frame() -> None:
    scorer, golden = (
        Scorer(None, ENCODER, ResponseFormat(("label",), 0.5)),
        {"amount": 2**53 + 1, "place": None, "known": None},
    )
    example = input_example(golden, signature(scorer).inputs)
    assert example.to_dict("records") == [golden]


def test_requirements_list_only_packages_that_the_version_uses() -> None:
    fitted = Pipeline([("model", LogisticRegression())])
    plain = requirements(Scorer(fitted, ENCODER, ResponseFormat(("label",), 0.5)))
    assert [line.partition("==")[0] for line in plain] == [
        "mlflow", "numpy", "pandas", "pydantic", "scikit-learn", "scipy", "skops",
    ]  # fmt: skip
    assert f"skops=={installed('skops')}" in plain
    with_yaml = Pipeline([("model", functools.partial(yaml.safe_dump))])
    (extra,) = set(requirements(Scorer(with_yaml, ENCODER, ResponseFormat(("label",), 0.5)))) - set(plain)
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
        ({"holdout_column": "fold=0"}, {"holdout_column": "fold=0"}, False),
        ({"holdout_column": "fold=0"}, {"holdout_column": "fold=1"}, True),
        ({}, {"holdout_column": "fold=0"}, True),
        ({"holdout_column": "fold=0"}, {"holdout_entities": 0.2}, True),
    ],
)
def test_provenance_detects_training_rows_inside_a_holdout(
    mine: dict[str, Any], theirs: dict[str, Any], saw: bool
) -> None:
    data = provenance(splits.split(alternating(100), by_time(holdout=0.2)), by_time(), None)
    assert replace(data, **mine).overlaps_holdout(replace(data, **theirs)) is saw
    tags = replace(data, **theirs).tags()
    assert Provenance.from_tags(tags) == replace(data, **theirs)
