"""Missing numbers that stay missing (`missing: keep`): each form of a version predicts as the fitted pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from scoring.compiled import Compiled
from scoring.compiled.wrappers.imputed import CompiledImputed
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import TASKS, Classes
from tests.unit.points import LOCAL, POINTS, with_predictions
from training.frame.frame import TrainingFrame
from training.frame.splits import Split
from training.models import FAMILIES
from training.models.family import TABULAR_TASKS
from training.population.build import population_of
from training.registry.compilation import compile_scorer
from training.registry.reference import reference
from training.report.charts.beeswarm import beeswarm
from training.report.input_values import reading
from training.report.profile import profiles
from training.search.ensemble_candidates import blend_candidate, stack_candidate, stack_layers
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.use_case.monitoring import MonitoringPlan

PARAMS = dict(POINTS)
ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            {"column": "income", "as": "number", "type": "double", "missing": "keep"},
            {"column": "age", "as": "number", "missing": "keep"},
            {"column": "children", "as": "number", "missing": "keep"},  # never missing in training
            {"column": "rooms", "as": "number", "type": "double"},
            {"column": "town", "as": "category_index", "index": "gold.town_index"},
        ]
    ),
    {"gold.town_index": ("", "Aachen", "Bonn", "Celle")},
    ("income", "age", "children", "rooms", "town_index"),
)
NUMBERS: Classes = ()
CLASSES: Mapping[str, Classes] = {"binary": (0, 1), "multiclass": ("low", "middle", "high"), "regression": NUMBERS}
FITTED = [name for name in LOCAL if name not in {"dummy", "blend"} and FAMILIES[name].tasks & TABULAR_TASKS]
BASES = ("knn", "lightgbm")
CASES = [(name, task) for name in FITTED for task in CLASSES if TASKS[task] in FAMILIES[name].tasks]
CASES += [(name, task) for name in ("blend", "stack") for task in CLASSES] + [
    ("without a town", "binary"),
    ("without a town", "regression"),
]
pytestmark = pytest.mark.filterwarnings("ignore:The max_iter was reached")


@cache
def frame_of(task: str) -> TrainingFrame:
    """Rows whose label depends on the numbers and on which of them are missing."""
    draw, rows = np.random.default_rng(3), 500
    features = {
        "income": np.round(draw.normal(0, 20, rows), 1),  # some are 0, which is not missing
        "age": draw.integers(18, 90, rows).astype(np.float64),
        "children": draw.integers(0, 5, rows).astype(np.float64),
        "rooms": draw.normal(3, 1, rows),
        "town_index": draw.integers(0, 4, rows).astype(np.float64),
    }
    wave = features["income"] / 20 + features["children"] + features["rooms"] + features["town_index"] % 2
    for name, share in (("income", 0.3), ("age", 0.1)):
        missing = draw.random(rows) < share
        wave = wave + 2 * missing
        features[name] = np.where(missing, np.nan, features[name])
    classes = CLASSES[task]
    cuts = np.quantile(wave, np.arange(1, len(classes)) / max(len(classes), 1))
    y = np.searchsorted(cuts, wave) if classes else wave
    matrix = ENCODER.matrix(features)
    times = np.datetime64("2020-01-01", "us") + np.arange(rows) * np.timedelta64(1, "h")
    return TrainingFrame(
        TASKS[task],
        matrix.values,
        matrix.columns,
        features,
        y,
        times,
        np.arange(rows),
        ENCODER,
        {"gold.t": 3},
        classes,
    )


def candidate_of(name: str, task: str) -> Candidate:
    if name == "without a town":  # CatBoost is a graph only without categories
        return Candidate("catboost", {**PARAMS["catboost"], "without.town": True})
    linear = "ridge" if task == "regression" else "logistic_regression"
    if name == "stack":
        final_estimator = Candidate.of("xgboost", PARAMS["xgboost"])
        return stack_candidate([Candidate.of(each, PARAMS[each]) for each in (linear, *BASES)], final_estimator)
    if name != "blend":
        return Candidate(name, PARAMS[name])
    return blend_candidate(
        [(1 / 4, Candidate.of(family, PARAMS[family])) for family in (linear, "knn", "lightgbm", "xgboost")]
    )


@dataclass(frozen=True)
class Trained:
    """A fitted version, the same read from its files, and the pipeline that it must reproduce."""

    exact: Scorer
    read: Scorer
    model: Compiled
    difference: float


@cache
def trained(name: str, task: str) -> Trained:
    rows, candidate = frame_of(task), candidate_of(name, task)
    if layers := stack_layers(candidate):
        rows = with_predictions(rows, *layers[0])
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    format_ = FAMILIES[candidate.family].matrix_format
    scorer = Scorer(fit(candidate, rows, 0), rows.encoder, answering, matrix_format=format_)
    compilation = compile_scorer(scorer, rows.features)
    assert compilation.compiled is not None, compilation.reason
    assert compilation.difference is not None
    read = Scorer.load(compilation.applied_to(scorer).save(Path(mkdtemp())))
    assert read.compiled is not None
    exact = Scorer(
        reference(scorer.pipeline, scorer.encoder, format_), scorer.encoder, answering, matrix_format=format_
    )
    return Trained(exact, read, read.compiled, compilation.difference)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_version_with_missing_numbers_is_compiled_and_equal_to_the_fitted_pipeline(name: str, task: str) -> None:
    version, rows = trained(name, task), frame_of(task)
    assert version.difference == 0
    blank = {**rows.features, "children": np.where(np.arange(len(rows)) % 3 == 0, np.nan, rows.features["children"])}
    table = ENCODER.table(blank)
    together = version.model.predict_many(table)
    np.testing.assert_array_equal(together, version.exact.predict(blank))
    np.testing.assert_array_equal(version.model.predict_many(table[:100]), together[:100])
    np.testing.assert_array_equal([version.model.predict_one(row) for row in table[:60].tolist()], together[:60])


RECORD = {
    "income": st.one_of(st.none(), st.floats(-60, 60), st.just(0)),
    "age": st.one_of(st.none(), st.integers(0, 120)),
    "children": st.one_of(st.none(), st.integers(0, 9)),
    "rooms": st.floats(0, 9),
    "town": st.sampled_from(["Aachen", "Bonn", "Celle"]),
}


@settings(max_examples=6)
@given(records=st.lists(st.fixed_dictionaries(RECORD), min_size=13, max_size=16))
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_records_with_null_anywhere_have_one_prediction_alone_among_others_and_in_pyfunc(
    task: str, records: list[dict[str, Any]]
) -> None:
    for name in [name for name, of_task in CASES if of_task == task]:
        version = trained(name, task)
        together = version.read.respond(records)
        assert [version.read.respond([record])[0] for record in records[:2]] == together[:2]
        with threadpool_limits(1):  # threads of the libraries wait for each other on a busy machine
            expected = version.exact.predict(ENCODER.features_of(records))
        assert version.exact.response_format.responses(expected) == together
        model = ScoringModel()
        model.scorer = version.read
        frame = pd.DataFrame(records)  # pandas has NaN in place of null, and floats beside it
        answers = model.predict(None, frame).to_dict("records")  # type: ignore[arg-type]
        assert answers == together


def test_only_families_that_take_no_missing_numbers_are_imputed() -> None:
    wrapped = {name for name in FITTED if "imputed.json" in _files(name)}
    assert wrapped == {name for name in FITTED if FAMILIES[name].missing_values == "imputed"}
    assert wrapped == {"logistic_regression", "ridge", "elastic_net", "knn"}


def _files(name: str) -> set[str]:
    task = next(task for each, task in CASES if each == name)
    return set(trained(name, task).read.compiled.save(Path(mkdtemp())))  # type: ignore[union-attr]


def test_the_imputer_learns_from_the_fitted_rows_alone() -> None:
    """The median of the later half is another one, and only the earlier half is fitted."""
    rows = frame_of("binary")
    later = {**rows.features, "income": np.where(np.arange(len(rows)) < 250, rows.features["income"], 1e6)}
    half = np.arange(len(rows)) < 250
    first = fit(Candidate("logistic_regression", PARAMS["logistic_regression"]), rows.rows(half), 0)
    changed = TrainingFrame(
        rows.task, ENCODER.matrix(later).values, rows.columns, later, rows.y, rows.times, rows.keys, ENCODER, {}
    )
    again = fit(Candidate("logistic_regression", PARAMS["logistic_regression"]), changed.rows(half), 0)
    medians = first.named_steps["impute"].statistics_
    np.testing.assert_array_equal(medians, again.named_steps["impute"].statistics_)
    assert medians[0] == np.nanmedian(rows.features["income"][half])
    assert first.named_steps["impute"].indicator_.features_.tolist() == [0, 1]


def test_monitoring_and_report_count_missing_numbers() -> None:
    rows, version = frame_of("binary"), trained("lightgbm", "binary")
    data = Split(rows.rows(np.arange(500) < 400), rows.rows(np.arange(500) >= 400))
    predicted = version.exact.predict(data.holdout.features)
    counted = population_of(version.exact, data, predicted, MonitoringPlan(reference="training")).inputs["income"]
    missing = int(np.isnan(data.training.features["income"]).sum())
    assert counted.counts[counted.bins.size :].tolist() == [missing, 0, 0]
    assert counted.counts.sum() == 400
    (income, *_, _) = profiles(ENCODER, data, 0, 9.0)
    assert (income.name, income.kind) == ("income", "number")
    assert income.missing == pytest.approx(missing / 400)
    assert 0 < income.alone < 1
    shown = reading("income", ENCODER, rows.features)
    assert [text == "missing" for text in shown.texts] == np.isnan(rows.features["income"]).tolist()
    assert "orderless" in beeswarm({"income": np.zeros(500)}, {"income": shown}, "")


def test_a_sparse_matrix_tells_zero_from_missing() -> None:
    features = {name: np.zeros(3) for name in ENCODER.features} | {"income": np.asarray([0.0, np.nan, 5.0])}
    matrix = ENCODER.matrix(features).values
    np.testing.assert_array_equal(matrix[:, 0].toarray().ravel(), [0.0, np.nan, 5.0])
    assert matrix[:, 0].nnz == 2
    np.testing.assert_array_equal(ENCODER.dense(features)[:, 0], [0.0, np.nan, 5.0])


@pytest.mark.parametrize("name", FITTED)
def test_a_fold_whose_rows_all_lack_a_number_is_fitted(name: str) -> None:
    task = next(task for each, task in CASES if each == name)
    rows = frame_of(task)
    empty = {**rows.features, "age": np.full(len(rows), np.nan)}
    frame = TrainingFrame(
        rows.task, ENCODER.matrix(empty).values, rows.columns, empty, rows.y, rows.times, rows.keys, ENCODER, {},
        rows.classes,
    )  # fmt: skip
    candidate = candidate_of(name, task)
    if layers := stack_layers(candidate):
        frame = with_predictions(frame, *layers[0])
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    scorer = Scorer(fit(candidate, frame, 0), ENCODER, answering, matrix_format=FAMILIES[name].matrix_format)
    compilation = compile_scorer(scorer, rows.features)  # here some ages are known
    assert compilation.difference == 0, compilation.reason


def test_the_wrapper_of_marks_is_loaded_from_its_files(tmp_path: Path) -> None:
    version = trained("logistic_regression", "binary")
    assert isinstance(version.model, CompiledImputed)
    assert version.model.imputation.marked == [0, 1]
    assert version.model.imputation.indices == [0, 1, 2]
