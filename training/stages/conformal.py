"""Bounds of the final forecasts, from errors of forecasts that were made out of fold."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from lakehouse.arrays import Floats
from scoring.estimators.blend import Blend
from scoring.forecasts.forecaster import Forecaster
from scoring.predictions import QUANTILES, SCALE, values
from training.evaluation.calibration import FoldPredictions
from training.evaluation.forecast_bounds import residual_bounds
from training.frame.splits import Fold


def with_conformal_bounds(
    pipeline: Any, parts: Sequence[Fold], predictions: Sequence[FoldPredictions], step: str
) -> tuple[Any, str]:
    """The pipeline with bounds at each step, and a line for the description.

    Args:
        predictions: predictions of the validation rows of each part by a model that was not fitted on them.
        step: the feature with the steps from the origin.
    """
    errors = np.concatenate([_scaled_errors(each) for each in predictions])
    lower, upper = residual_bounds(errors, np.concatenate([part.validate.features[step] for part in parts]))
    low, high = QUANTILES
    note = (
        f"Bounds: {high - low:.0%} of the values, by conformal quantiles of {len(errors):,} errors out of fold; "
        f"first step {lower[0]:+.2f} to {upper[0]:+.2f} scales, last {lower[-1]:+.2f} to {upper[-1]:+.2f}"
    )
    return _bounded(pipeline, lower, upper), note


def _scaled_errors(rows: FoldPredictions) -> Floats:
    return np.asarray((rows.labels - values(rows.predicted)) / rows.predicted[:, SCALE], dtype=np.float64)


def _bounded(pipeline: Any, lower: Floats, upper: Floats) -> Any:
    """The pipeline with other bounds; a bag's average has them if each of its models has."""
    *steps, (name, model) = pipeline.steps
    if isinstance(model, Blend):
        members = [_bounded(member, lower, upper) for member in model.members]
        return Pipeline(
            [*steps, (name, Blend(model.task, members, model.matrix_formats, model.weights, model.sizes))]
        )
    bounded = Forecaster(model.model, model.columns, lower, upper)
    return Pipeline([*steps, (name, bounded)])
