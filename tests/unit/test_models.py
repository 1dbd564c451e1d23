"""Families: each fits sparse rows, repeats itself, and survives being written."""

from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from tests.unit.frames import ENCODER, alternating
from training.models import FAMILIES, dense
from training.models.dense import DenseWhereSmall
from training.models.family import recency_weights
from training.scoring import PIPELINE, Answering, ArtifactRefused, Scorer
from training.search.space import Choice, Float, Int, Params
from training.search.trial import Candidate, fit

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
    said = first.probabilities(ROWS.features)
    assert said[ROWS.y == 1].mean() > said[ROWS.y == 0].mean() + 0.2
    np.testing.assert_array_equal(scorer(family, params).probabilities(ROWS.features), said)
    np.testing.assert_array_equal(Scorer.load(first.save(tmp_path)).probabilities(ROWS.features), said)


def test_recency_changes_what_is_learned() -> None:
    family, params = POINTS[0]
    weighted = scorer(family, {**params, "recency_half_life_days": 30}).probabilities(ROWS.features)
    assert not np.array_equal(weighted, scorer(family, params).probabilities(ROWS.features))


def test_without_a_half_life_all_rows_weigh_the_same() -> None:
    assert recency_weights(np.array([0.0, 500.0]), None).tolist() == [1, 1]


def test_rows_stay_sparse_where_dense_ones_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(DenseWhereSmall().fit(ROWS.x).transform(ROWS.x), np.ndarray)
    monkeypatch.setattr(dense, "LIMIT_BYTES", 100)
    assert DenseWhereSmall().fit(ROWS.x).transform(ROWS.x) is ROWS.x


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
