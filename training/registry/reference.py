"""The pipeline that a compiled model must reproduce: the fitted one, with k-NN measured exactly.

scikit-learn computes a squared distance as x² + y² - 2xy by matrix products. Its rounding depends on how many rows
are predicted together, so its answer is no function of the record. The reference has the same steps up to the scaled
row, and the distances of the compiled model: differences, squared and summed in double precision.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats, MatrixFormat
from scoring.compiled.neighbours import CompiledNeighbours
from scoring.encoder import Encoder
from scoring.estimators.blend import Blend
from scoring.estimators.calibrated import Calibrated
from scoring.estimators.column_subset import ColumnSubset
from scoring.estimators.stack import Stack
from scoring.forecasts.forecaster import Forecaster
from training.registry.imputed_features import imputation_of
from training.registry.kept_features import kept_features


class ExactNeighbours(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """k-NN over scaled rows, each predicted alone."""

    def __init__(self, compiled: CompiledNeighbours) -> None:
        self.compiled = compiled

    def fit(self, _x: Floats, _y: object = None) -> Self:
        """Return the estimator unchanged: it is fitted."""
        return self

    def predict(self, x: Floats) -> Floats:
        """(rows,) numbers."""
        return np.asarray([self.compiled.predict_scaled(row) for row in x.astype(np.float64)])

    def predict_proba(self, x: Floats) -> Floats:
        """(rows, classes) probabilities."""
        predicted = self.predict(x)
        return np.stack([1 - predicted, predicted], axis=1) if predicted.ndim == 1 else predicted

    def __sklearn_is_fitted__(self) -> bool:
        return True


def reference(pipeline: Any, encoder: Encoder, matrix_format: MatrixFormat) -> Any:
    """The pipeline with `ExactNeighbours` in place of k-NN on dense rows, and itself without any k-NN."""
    if isinstance(pipeline, Calibrated):
        return Calibrated(reference(pipeline.model, encoder, matrix_format), pipeline.curve, pipeline.numbers)
    (name, first), (last_name, model) = pipeline.steps[0], pipeline.steps[-1]
    if isinstance(first, ColumnSubset | SimpleImputer):
        behind = _encoder_behind(first, encoder, matrix_format)
        return Pipeline([(name, first), *reference(Pipeline(pipeline.steps[1:]), behind, matrix_format).steps])
    if isinstance(model, Blend | Stack):
        return Pipeline([*pipeline.steps[:-1], (last_name, _ensemble(model, encoder))])
    if isinstance(model, Forecaster):
        exact = Forecaster(reference(model.model, encoder, matrix_format), model.columns, model.lower, model.upper)
        return Pipeline([*pipeline.steps[:-1], (last_name, exact)])
    dense = dict(pipeline.steps).get("denseifsmall")  # absent with texts
    if not hasattr(model, "n_neighbors") or dense is None or not dense.dense_:
        return pipeline
    return Pipeline([*pipeline.steps[:-1], (last_name, ExactNeighbours(CompiledNeighbours.of(pipeline, encoder)))])


def _ensemble(model: Blend | Stack, encoder: Encoder) -> Blend | Stack:
    """The ensemble of the references of its parts; the final estimator of a stack is no k-NN."""
    parts = model.members if isinstance(model, Blend) else model.bases
    exact = [reference(part, encoder, each) for part, each in zip(parts, model.matrix_formats, strict=True)]
    if isinstance(model, Blend):
        return Blend(model.task, exact, model.matrix_formats, model.weights, model.sizes)
    return Stack(model.task, exact, model.matrix_formats, model.final_estimator, model.sizes)


def _encoder_behind(first: ColumnSubset | SimpleImputer, encoder: Encoder, matrix_format: MatrixFormat) -> Encoder:
    """The encoder of the rows that the first step of a pipeline makes."""
    if isinstance(first, ColumnSubset):
        return kept_features(encoder, matrix_format, first.columns)[1]
    return imputation_of(first, encoder, matrix_format)[1]
