"""Constant features: those with one value on all training rows, or none at all. A model can learn nothing of them."""

from collections.abc import Mapping
from dataclasses import replace
from math import isnan

import numpy as np

from lakehouse.wording import format_number
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import without_features
from training.frame.refusals import FrameRefused
from training.spark_ml.feature_columns import FeaturesOnSpark

SHOWN = 10


def without_constants(training: TrainingFrame) -> TrainingFrame:
    """The training rows without constant numbers in matrix and encoder; `constant` records them.

    A linear model would use a constant as a second intercept, so that another value in a request would move its
    predictions. The encodings stay: a request still sends the raw column.

    Raises:
        FrameRefused: every feature is constant.
    """
    constant = _constant_features(training)
    if not constant:
        return training
    if len(constant) == len(training.encoder.features):
        raise FrameRefused.all_constant(len(training), format_constants(constant))
    return replace(without_features(training, constant), constant=constant)


def format_constants(constant: Mapping[str, float]) -> str:
    """List constant features with their values.

    >>> format_constants({"channel": 7.0, "rate": 0.25})
    'channel (7), rate (0.25)'
    """
    shown = [
        f"{name} ({'missing' if isnan(value) else format_number(value)})"
        for name, value in list(constant.items())[:SHOWN]
    ]
    more = f" and {len(constant) - SHOWN} more" if len(constant) > SHOWN else ""
    return f"{', '.join(shown)}{more}"


def _constant_features(frame: TrainingFrame) -> dict[str, float]:
    constant, sizes = {}, frame.encoder.categories()
    if isinstance(frame.features, FeaturesOnSpark):
        ranges = frame.features.ranges(frame.encoder.features, sizes)
        return {name: low for name, (low, high) in ranges.items() if low == high}
    for index, name in enumerate(frame.encoder.number_features):
        values = frame.features[name]
        if index in sizes:  # the model reads an index that is newer than the vocabulary as 0, unknown
            values = np.where(values < sizes[index], values, 0)
        if values.min() == values.max() or np.isnan(values).all():
            constant[name] = float(values[0])
    return constant
