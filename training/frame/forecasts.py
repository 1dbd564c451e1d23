"""Rows of a forecast: the columns that describe a row's series, and labels in scales above its level."""

from dataclasses import dataclass, replace

import numpy as np

from lakehouse.arrays import MatrixFormat
from lakehouse.errors import nearest
from scoring.encodings import FeatureColumns
from scoring.tasks import REGRESSION
from training.frame.frame import TrainingFrame
from training.frame.refusals import FrameRefused
from training.use_case.forecast import ForecastColumns


@dataclass(frozen=True)
class ForecastIndices:
    """Indices of a forecast's features among the columns of a matrix format."""

    level: int
    scale: int
    step: int
    season: int


def require_forecast_columns(declared: ForecastColumns, features: FeatureColumns) -> None:
    """Check the declared features of every row.

    Raises:
        FrameRefused: a feature is missing or no number, a scale is not above 0, or a step is below 0.
    """
    fits = {f"fits.{method}": name for method, name in declared.fits.items()}
    past = {} if declared.history is None else {f"history.{name}": name for name in declared.history.features}
    for role, name in {**declared.roles, **fits, **past}.items():
        if name not in features:
            raise FrameRefused.forecast_column(role, name, f"no table has. {nearest(name, sorted(features))}")
        if features[name].dtype == object:
            raise FrameRefused.forecast_column(role, name, "is a text")
    for role, name, wrong in (
        ("scale", declared.scale, features[declared.scale] <= 0),
        ("step", declared.step, features[declared.step] < 0),
    ):
        if count := int(np.sum(wrong)):
            least = "above 0" if role == "scale" else "0 or more"
            raise FrameRefused.forecast_column(role, name, f"must be {least}, and is not in {count:,} rows")


def forecast_indices(frame: TrainingFrame, declared: ForecastColumns, matrix_format: MatrixFormat) -> ForecastIndices:
    """The columns of the declared features.

    Raises:
        FrameRefused: a feature is constant on all training rows, so that no model has it.
    """
    names = frame.columns if matrix_format == "sparse" else frame.encoder.number_features
    found = declared.roles
    for role, name in found.items():
        if name not in names:
            raise FrameRefused.forecast_column(role, name, "has one value on all training rows, or is left out")
    return ForecastIndices(**{role: names.index(name) for role, name in found.items()})


def in_scales(frame: TrainingFrame, declared: ForecastColumns) -> TrainingFrame:
    """The same rows as a regression whose labels are in scales above the level."""
    level, scale = (frame.features[name].astype(np.float64) for name in (declared.level, declared.scale))
    return replace(frame, task=REGRESSION, y=(frame.y - level) / scale)
