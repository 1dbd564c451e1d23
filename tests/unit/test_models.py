"""Families: each fits sparse rows, repeats itself, and survives being written."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import has_fit_parameter

from tests.unit.frames import ENCODER, alternating
from training.models import FAMILIES, dense
from training.models.dense import DenseWhereSmall
from training.models.family import Given, recency_weights
from training.scoring import PIPELINE, Answering, ArtifactRefused, Scorer, predict
from training.search.joint import Candidate
from training.search.space import Choice, Dimension, Float, Int, Params
from training.search.trial import fit

ROWS = alternating(120)
_LINEAR: list[tuple[str, Params]] = [
    ("logistic_regression", {"inverse_regularization": 0.5, "penalty": penalty, "numeric_shape": shape, **recency})
    for penalty in ("l1", "l2")
    for shape, recency in (("as_is", {"recency_half_life_days": None}), ("arcsinh", {"recency_half_life_days": 30}))
]
_NEIGHBOURS: list[tuple[str, Params]] = [
    ("knn", {"n_neighbors": 5, "weights": weights, "distance": distance, "numeric_shape": "arcsinh"})
    for weights in ("uniform", "distance")
    for distance in ("euclidean", "cosine")
]
POINTS = [*_LINEAR, *_NEIGHBOURS]


def scorer(family: str, params: Params, seed: int = 0) -> Scorer:
    return Scorer(fit(Candidate(family, params), ROWS, seed), ENCODER, Answering(("label", "probability"), 0.5))


def test_every_family_is_tried_here() -> None:
    assert {family for family, _ in POINTS} == set(FAMILIES)
    for family, params in POINTS:
        assert set(params) == set(FAMILIES[family].space)


@pytest.mark.parametrize(("family", "params"), POINTS)
def test_a_family_learns_repeats_itself_and_survives_being_written(
    tmp_path: Path, family: str, params: Params
) -> None:
    first = scorer(family, params)
    said = first.predicted(ROWS.features)
    assert said[ROWS.y == 1].mean() > said[ROWS.y == 0].mean() + 0.2
    np.testing.assert_array_equal(scorer(family, params).predicted(ROWS.features), said)
    np.testing.assert_array_equal(Scorer.load(first.save(tmp_path)).predicted(ROWS.features), said)


def test_recency_changes_what_is_learned() -> None:
    family, params = POINTS[0]
    weighted = scorer(family, {**params, "recency_half_life_days": 30}).predicted(ROWS.features)
    assert not np.array_equal(weighted, scorer(family, params).predicted(ROWS.features))


def test_without_a_half_life_all_rows_weigh_the_same() -> None:
    assert recency_weights(np.array([0.0, 500.0]), None).tolist() == [1, 1]


def test_rows_stay_sparse_where_dense_ones_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(DenseWhereSmall().fit(ROWS.x).transform(ROWS.x), np.ndarray)
    monkeypatch.setattr(dense, "LIMIT_BYTES", 100)
    assert DenseWhereSmall().fit(ROWS.x).transform(ROWS.x) is ROWS.x


def test_neighbours_among_sparse_rows_survive_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "LIMIT_BYTES", 100)
    ours = scorer("knn", next(params for family, params in POINTS if family == "knn"))
    assert sparse.issparse(ours.pipeline[-1]._fit_X)
    read = Scorer.load(ours.save(tmp_path))
    assert np.array_equal(read.predicted(ROWS.features), ours.predicted(ROWS.features))


def test_a_file_with_types_of_no_family_is_refused(tmp_path: Path) -> None:
    artifacts = scorer(*POINTS[0]).save(tmp_path)
    skops.io.dump(FunctionTransformer(Path.unlink), artifacts[PIPELINE])
    with pytest.raises(ArtifactRefused, match="not trusted: pathlib"):
        Scorer.load(artifacts)


@pytest.mark.parametrize(
    "declared",
    [lambda: Int(5, 5), lambda: Float(1, 0), lambda: Float(0, 1, log=True), lambda: Choice(())],
)
def test_a_dimension_that_cannot_be_is_refused(declared: object) -> None:
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
def test_a_weight_halves_with_every_half_life(half_life: int | None, weights: list[float]) -> None:
    assert recency_weights(np.array([0.0, 30, 60, 15]), half_life).tolist() == pytest.approx(weights)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_rightly_whether_it_takes_weights(name: str) -> None:
    family, params = FAMILIES[name], dict(POINTS)[name]
    model = family.build(params, 0, Given("binary", 2, {})).named_steps["model"]
    assert has_fit_parameter(model, "sample_weight") is family.takes_weights
    assert ("recency_half_life_days" in family.space) is family.takes_weights


@pytest.mark.parametrize(("family", "params"), POINTS)
def test_a_family_gives_probabilities_that_sum_to_one(family: str, params: Params) -> None:
    pipeline: Any = fit(Candidate(family, params), ROWS, 0)
    said = pipeline.predict_proba(ROWS.x)
    assert pipeline.classes_.tolist() == [0, 1]
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert said.min() >= 0


@pytest.mark.parametrize(("family", "params"), POINTS)
def test_a_feature_that_is_the_same_in_every_row_is_taken_and_says_nothing(family: str, params: Params) -> None:
    features = {**ROWS.features, "known": np.full(len(ROWS), 7.0)}
    rows = replace(ROWS, features=features, x=ENCODER.matrix(features).values)
    said = predict(fit(Candidate(family, params), rows, 0), "binary", rows.inputs(FAMILIES[family].takes))
    assert np.isfinite(said).all()
    assert roc_auc_score(rows.y, said) > 0.8


@pytest.mark.parametrize(("family", "params"), POINTS)
def test_fitting_leaves_the_rows_as_they_are(family: str, params: Params) -> None:
    rows = alternating(40)
    before = rows.fingerprint()
    fit(Candidate(family, params), rows, 0)
    assert rows.fingerprint() == before


@pytest.mark.parametrize(("limit", "dense_rows"), [(3 * 5 * 4, True), (3 * 5 * 4 - 1, False)])
def test_the_limit_counts_the_bytes_of_single_precision(
    monkeypatch: pytest.MonkeyPatch, limit: int, dense_rows: bool
) -> None:
    monkeypatch.setattr(dense, "LIMIT_BYTES", limit)
    rows = sparse.csr_matrix(np.eye(3, 5))
    assert isinstance(DenseWhereSmall().fit(rows).transform(rows), np.ndarray) is dense_rows


def test_what_was_decided_at_fitting_holds_for_any_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "LIMIT_BYTES", 100)
    few, many = sparse.csr_matrix(np.eye(2, 5)), sparse.csr_matrix(np.eye(50, 5))
    assert sparse.issparse(DenseWhereSmall().fit(many).transform(few))
    made_dense = DenseWhereSmall().fit(few).transform(many)
    assert isinstance(made_dense, np.ndarray)
    assert made_dense.dtype == np.float32
    assert made_dense.tolist() == many.toarray().tolist()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_neighbours_are_the_same_among_dense_and_sparse_rows(monkeypatch: pytest.MonkeyPatch, distance: str) -> None:
    params: Params = {"n_neighbors": 5, "weights": "uniform", "distance": distance, "numeric_shape": "as_is"}
    among_dense = scorer("knn", params).predicted(ROWS.features)
    monkeypatch.setattr(dense, "LIMIT_BYTES", 0)
    np.testing.assert_array_equal(scorer("knn", params).predicted(ROWS.features), among_dense)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (lambda: Int(5, 5), "the lower bound 5 is not below the upper bound 5"),
        (lambda: Int(0, 9, log=True), "must begin above 0, and this one begins at 0"),
        (lambda: Float(1, 0.5), "the lower bound 1 is not below the upper bound 0.5"),
        (lambda: Float(-1, 1, log=True), "must begin above 0, and this one begins at -1"),
        (lambda: Choice(()), "a Choice needs at least one value"),
    ],
)
def test_a_dimension_that_cannot_be_names_its_bounds(declared: Callable[[], Dimension], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        declared()


def test_a_range_from_zero_and_a_single_choice_can_be() -> None:
    assert (Int(0, 1).low, Float(-1, 0).high, Choice((None,)).values) == (0, 0, (None,))
