"""Model families: each fits the rows of its tasks, is reproducible, and survives saving."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_info

from lakehouse.arrays import Floats
from scoring.estimators import dense_if_small
from scoring.estimators.dense_if_small import DenseIfSmall
from scoring.pipeline_file import ArtifactRefused
from scoring.scorer import PIPELINE, ResponseFormat, Scorer
from scoring.tasks import BINARY, TASKS
from tests.unit.frames import ENCODER, frame
from tests.unit.points import LOCAL, POINTS, rows_of
from training.evaluation.metrics import METRICS
from training.frame.frame import TrainingFrame
from training.models import FAMILIES, trees
from training.models.family import DataFacts
from training.registry.signature import requirements
from training.search.fitting import ENSEMBLES, fit, predict, recency_weights
from training.space.joint_space import Candidate
from training.space.space import Choice, Dimension, Float, Int, Params

ROWS = rows_of("binary")
LINEAR = next(point for point in POINTS if point[0] == "logistic_regression")
ABLE = [(family, params, task) for family, params in POINTS for task in sorted(map(str, FAMILIES[family].tasks))]


def scorer(family: str, params: Params, rows: TrainingFrame = ROWS) -> Scorer:
    response_format = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    pipeline = fit(Candidate(family, params), rows, 0)
    return Scorer(pipeline, ENCODER, response_format, matrix_format=FAMILIES[family].matrix_format)


def test_every_family_has_test_points() -> None:
    assert {family for family, _ in POINTS} == set(LOCAL) - ENSEMBLES  # tested in tests/unit/search
    for family, params in POINTS:
        assert set(params) == set(FAMILIES[family].space)


@pytest.mark.parametrize(("family", "params", "task"), ABLE)
def test_family_beats_the_baseline_reproducibly_and_survives_saving(
    tmp_path: Path, family: str, params: Params, task: str
) -> None:
    rows = rows_of(task)
    first = scorer(family, params, rows)
    predicted = first.predict(rows.features)
    assert beats_the_baseline(predicted, rows) is (family != "dummy")
    np.testing.assert_array_equal(scorer(family, params, rows).predict(rows.features), predicted)
    np.testing.assert_array_equal(Scorer.load(first.save(tmp_path)).predict(rows.features), predicted)


def beats_the_baseline(predicted: Floats, rows: TrainingFrame) -> bool:
    metric, bar = ("r2", 0.4) if not rows.task.predicts_classes else ("roc_auc", 0.75)
    return METRICS[metric].function(rows.y, predicted, 0.5) > bar


@pytest.mark.parametrize(
    ("family", "package"), [("lightgbm", "lightgbm"), ("xgboost", "xgboost"), ("catboost", "catboost"), ("knn", None)]
)
def test_version_requires_only_the_library_of_its_family(family: str, package: str | None) -> None:
    needed = {line.partition("==")[0] for line in requirements(scorer(family, dict(POINTS)[family]))}
    assert needed & {"lightgbm", "xgboost", "catboost"} == ({package} - {None})


def test_use_cases_import_no_boosting_library() -> None:
    asked = "import sys, training.use_case.use_case; print({'lightgbm', 'xgboost', 'catboost'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_early_stopping_finds_rounds_on_the_newest_rows(family: str) -> None:
    model: Any = scorer(family, dict(POINTS)[family]).pipeline["model"]
    assert 1 <= model.rounds_ < model.rounds
    attribute = {"lightgbm": "n_estimators_", "xgboost": "n_estimators", "catboost": "tree_count_"}[family]
    assert getattr(model.model_, attribute) == model.rounds_


@pytest.mark.parametrize(("family", "default"), [("lightgbm", 300), ("xgboost", 300), ("catboost", 200)])
def test_boosting_rounds_end_at_the_limit_of_the_candidate(family: str, default: int) -> None:
    params = dict(POINTS)[family]
    limited: Any = scorer(family, {**params, "max_rounds": 2}).pipeline["model"]
    assert (limited.rounds, limited.rounds_) == (2, min(limited.rounds_, 2))
    without: Any = scorer(family, {**params, "max_rounds": None}).pipeline["model"]
    assert without.rounds == default


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "catboost"])
def test_no_early_stopping_if_older_rows_lack_a_class(family: str) -> None:
    late = frame(range(100), [0] * 90 + [1] * 10)
    model: Any = scorer(family, dict(POINTS)[family], late).pipeline["model"]
    assert model.rounds_ == model.rounds


def test_library_errors_become_value_errors() -> None:
    constant = {name: np.ones(len(ROWS)) for name in ROWS.features}
    with pytest.raises(ValueError, match=r"catboost cannot learn from these rows: .*constant"):
        fit(Candidate("catboost", dict(POINTS)["catboost"]), replace(ROWS, features=constant), 0)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("family", ["random_forest", "gradient_boosting"])
def test_trees_get_target_means_of_large_indices_and_categories_of_small_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: str, task: str
) -> None:
    params, rows = dict(POINTS)[family], rows_of(task)
    places = set(rows.features["place_index"])
    assert set(first_column(scorer(family, params, rows), rows)) != places  # the amount
    monkeypatch.setattr(trees, "MOST_ORDERED", 3)
    monkeypatch.setattr(trees, "MOST_CATEGORIES", 3)
    by_mean = scorer(family, params, rows)
    means = set(first_column(by_mean, rows))
    assert len(means) == len(places)
    assert means.isdisjoint(places)
    predicted = by_mean.predict(rows.features)
    assert beats_the_baseline(predicted, rows)
    np.testing.assert_array_equal(Scorer.load(by_mean.save(tmp_path)).predict(rows.features), predicted)


def test_predictions_use_one_thread_of_openmp_as_fits_do(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = Candidate("gradient_boosting", dict(POINTS)["gradient_boosting"])
    fitted, seen = fit(candidate, ROWS, 0), list[int]()
    kind = type(fitted.steps[-1][1])
    original = kind.predict_proba

    def recorded(model: Any, x: Floats) -> Floats:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp")
        probabilities: Floats = original(model, x)
        return probabilities

    monkeypatch.setattr(kind, "predict_proba", recorded)
    predict(candidate, fitted, ROWS)
    assert set(seen) == {1}


def first_column(fitted: Scorer, rows: TrainingFrame) -> Floats:
    """The first column of the model's input; target means come first."""
    columns: Floats = fitted.pipeline["categories"].transform(rows.inputs("dense"))[:, 0]
    return columns


def test_recency_weights_change_predictions() -> None:
    family, params = LINEAR
    weighted = scorer(family, {**params, "recency_half_life_days": 30}).predict(ROWS.features)
    assert not np.array_equal(weighted, scorer(family, params).predict(ROWS.features))


WEIGHS_CLASSES = [name for name in LOCAL if "class_weight" in FAMILIES[name].space]


def test_families_with_row_weights_have_class_weights() -> None:
    able = [family for family in FAMILIES.values() if family.searched and family.accepts_weights]
    for family in able:
        assert ("class_weight" in family.space) is (BINARY in family.tasks)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("family", WEIGHS_CLASSES)
def test_balanced_class_weights_raise_the_probability_of_a_rare_class(family: str, task: str) -> None:
    rows = rows_of(task)
    rare = len(rows.classes) - 1
    rows = replace(rows, y=np.where((rows.y == rare) & (np.arange(len(rows)) % 3 > 0), 0, rows.y))

    def probable(class_weight: str | None) -> float:
        params = {**dict(POINTS)[family], "class_weight": class_weight}
        pipeline: Any = fit(Candidate(family, params), rows, 0)
        return float(pipeline.predict_proba(rows.inputs(FAMILIES[family].matrix_format))[:, rare].mean())

    assert probable("balanced") > 1.2 * probable(None)


def test_rows_weigh_the_same_without_a_half_life() -> None:
    assert recency_weights(np.array([0.0, 500.0]), None).tolist() == [1, 1]


def test_rows_stay_sparse_above_the_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(DenseIfSmall().fit(ROWS.x).transform(ROWS.x), np.ndarray)
    monkeypatch.setattr(dense_if_small, "LIMIT_BYTES", 100)
    assert DenseIfSmall().fit(ROWS.x).transform(ROWS.x) is ROWS.x


def test_knn_with_sparse_rows_survives_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_if_small, "LIMIT_BYTES", 100)
    ours = scorer("knn", next(params for family, params in POINTS if family == "knn"))
    assert sparse.issparse(ours.pipeline[-1]._fit_X)
    read = Scorer.load(ours.save(tmp_path))
    assert np.array_equal(read.predict(ROWS.features), ours.predict(ROWS.features))


def test_files_with_untrusted_types_are_refused(tmp_path: Path) -> None:
    artifacts = scorer(*LINEAR).save(tmp_path)
    for harm in (Path.unlink, partial(subprocess.call, ["true"])):
        skops.io.dump(FunctionTransformer(harm), artifacts[PIPELINE])
        with pytest.raises(ArtifactRefused, match=r"not trusted: (pathlib|subprocess)"):
            Scorer.load(artifacts)


@pytest.mark.parametrize(
    "declared",
    [lambda: Int(5, 5), lambda: Float(1, 0), lambda: Float(0, 1, log=True), lambda: Choice(())],
)
def test_invalid_dimensions_are_refused(declared: object) -> None:
    assert callable(declared)
    with pytest.raises(ValueError, match=r"bound|above 0|at least one"):
        declared()


@pytest.mark.parametrize(
    ("half_life", "weights"),
    [
        (30, [1, 0.5, 0.25, 2**-0.5]),
        (60, [1, 2**-0.5, 0.5, 2**-0.25]),
        (None, [1, 1, 1, 1]),
    ],
)
def test_recency_weight_halves_with_every_half_life(half_life: int | None, weights: list[float]) -> None:
    assert recency_weights(np.array([0.0, 30, 60, 15]), half_life).tolist() == pytest.approx(weights)


@pytest.mark.parametrize("name", dict(POINTS))
def test_accepts_weights_matches_the_learner(name: str) -> None:
    family, params = FAMILIES[name], dict(POINTS)[name]
    task = min(family.tasks, key=str)
    model = family.build(params, 0, DataFacts(task, 2, {})).named_steps["model"]
    assert has_fit_parameter(model, "sample_weight") is family.accepts_weights
    assert ("recency_half_life_days" in family.space) is (family.accepts_weights and family.searched)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    rows = rows_of("binary")
    params = {**dict(POINTS)["knn"], "n_neighbors": len(rows) + 1}
    pipeline: Any = fit(Candidate("knn", params), rows, 0)
    assert pipeline.named_steps["model"].n_neighbors == len(rows)
    assert len(pipeline.predict(rows.inputs("sparse"))) == len(rows)


@pytest.mark.parametrize(("family", "params", "task"), [able for able in ABLE if TASKS[able[2]].predicts_classes])
def test_probabilities_sum_to_one(family: str, params: Params, task: str) -> None:
    rows = rows_of(task)
    pipeline: Any = fit(Candidate(family, params), rows, 0)
    predicted = pipeline.predict_proba(rows.inputs(FAMILIES[family].matrix_format))
    assert pipeline.classes_.tolist() == list(range(len(rows.classes)))
    np.testing.assert_allclose(predicted.sum(axis=1), 1)
    assert predicted.min() >= 0


@pytest.mark.parametrize(
    ("family", "params"), [each for each in POINTS if FAMILIES[each[0]].space and BINARY in FAMILIES[each[0]].tasks]
)
def test_constant_features_are_accepted(family: str, params: Params) -> None:
    features = {**ROWS.features, "known": np.full(len(ROWS), 7.0)}
    rows = replace(ROWS, features=features, x=ENCODER.matrix(features).values)
    predicted = BINARY.predict(fit(Candidate(family, params), rows, 0), rows.inputs(FAMILIES[family].matrix_format))
    assert np.isfinite(predicted).all()
    assert roc_auc_score(rows.y, predicted) > 0.8


@pytest.mark.parametrize(("family", "params", "task"), ABLE)
def test_fitting_does_not_change_the_rows(family: str, params: Params, task: str) -> None:
    rows = rows_of(task, 40)
    before = rows.fingerprint()
    fit(Candidate(family, params), rows, 0)
    assert rows.fingerprint() == before


@pytest.mark.parametrize(("limit", "dense_rows"), [(3 * 5 * 4, True), (3 * 5 * 4 - 1, False)])
def test_memory_limit_counts_single_precision_bytes(
    monkeypatch: pytest.MonkeyPatch, limit: int, dense_rows: bool
) -> None:
    monkeypatch.setattr(dense_if_small, "LIMIT_BYTES", limit)
    rows = sparse.csr_matrix(np.eye(3, 5))
    assert isinstance(DenseIfSmall().fit(rows).transform(rows), np.ndarray) is dense_rows


def test_matrix_format_of_fitting_holds_for_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_if_small, "LIMIT_BYTES", 100)
    few, many = sparse.csr_matrix(np.eye(2, 5)), sparse.csr_matrix(np.eye(50, 5))
    assert sparse.issparse(DenseIfSmall().fit(many).transform(few))
    made_dense = DenseIfSmall().fit(few).transform(many)
    assert isinstance(made_dense, np.ndarray)
    assert made_dense.dtype == np.float32
    assert made_dense.tolist() == many.toarray().tolist()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_knn_predicts_the_same_for_dense_and_sparse_rows(monkeypatch: pytest.MonkeyPatch, distance: str) -> None:
    params: Params = {"n_neighbors": 5, "weights": "uniform", "distance": distance, "numeric_shape": "as_is"}
    among_dense = scorer("knn", params).predict(ROWS.features)
    monkeypatch.setattr(dense_if_small, "LIMIT_BYTES", 0)
    np.testing.assert_array_equal(scorer("knn", params).predict(ROWS.features), among_dense)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (lambda: Int(5, 5), "the lower bound 5 is not below the upper bound 5"),
        (lambda: Int(0, 9, log=True), "must start above 0, and this one starts at 0"),
        (lambda: Float(1, 0.5), "the lower bound 1 is not below the upper bound 0.5"),
        (lambda: Float(-1, 1, log=True), "must start above 0, and this one starts at -1"),
        (lambda: Choice(()), "a choice needs at least one value"),
    ],
)
def test_error_of_an_invalid_dimension_names_its_bounds(declared: Callable[[], Dimension], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        declared()


def test_range_from_zero_and_single_choice_are_valid() -> None:
    assert (Int(0, 1).low, Float(-1, 0).high, Choice((None,)).values) == (0, 0, (None,))
