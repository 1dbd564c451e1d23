"""The predictions of the holdout as a placed column, and their outcomes."""

import numpy as np

from lakehouse.arrays import Floats
from scoring.hooks import HookFailed, Record
from scoring.predictions import values as values_of
from scoring.scorer import Scorer
from training.frame.frame import TrainingFrame
from training.population.bins import CategoryBins
from training.population.forecast_losses import sums_of
from training.population.placement import PlacedColumn, number_bins

SCORE_BINS = 100
TRIED = 50  # predictions with which a hook is tried


def placed_prediction(scorer: Scorer, predicted: Floats, golden: Record | None) -> tuple[str, PlacedColumn] | None:
    """The monitored response field with the bin of each prediction; None if a hook leaves no field as it is."""
    response = scorer.response_format
    known = _known_fields(scorer, predicted, golden)
    numbers = predicted if response.task.predicts_classes else values_of(predicted)
    single = [field for field in ("probability", "value") if field in known and numbers.ndim == 1]
    if single:
        at = [response.threshold] if response.task.predicts_classes else []
        bins = number_bins(numbers, SCORE_BINS, at)
        return single[0], PlacedColumn(bins, bins.index_array(numbers))
    if "label" not in known:
        return None
    labels = response.task.columns("label", predicted, response.classes, response.threshold)["label"]
    categories = CategoryBins(tuple(response.classes), len(response.classes))
    return "label", PlacedColumn(categories, categories.index(labels)[0])


def _known_fields(scorer: Scorer, predicted: Floats, golden: Record | None) -> set[str]:
    return set(scorer.fields()) if golden is None else _kept_fields(scorer, predicted, golden)


def _kept_fields(scorer: Scorer, predicted: Floats, golden: Record) -> set[str]:
    """Fields of the model's response that a hook after it leaves as they are: others have no known distribution."""
    numbers = predicted if scorer.response_format.task.predicts_classes else values_of(predicted)
    order = np.argsort(numbers if numbers.ndim == 1 else numbers.argmax(axis=1), kind="stable")
    tried = predicted[order[np.linspace(0, len(order) - 1, min(TRIED, len(order))).astype(np.intp)]]
    columns = scorer.response_format.columns(tried)
    try:
        answers = scorer.hooks.after_columns(columns, [golden] * len(tried))
    except HookFailed:  # it refuses some predictions of this record
        return set()
    return {name for name, values in columns.items() if [each.get(name) for each in answers] == list(values)}


def outcomes(scorer: Scorer, holdout: TrainingFrame, predicted: Floats, placed: PlacedColumn) -> Floats:
    """(classes, bins) number of rows by label and bin, or the sums of `MOMENTS`."""
    if not scorer.response_format.task.predicts_classes:
        error = values_of(predicted) - holdout.y
        return np.asarray([len(error), np.abs(error).sum(), (error**2).sum(), (error**4).sum()])
    classes, size = len(scorer.response_format.classes), placed.bins.size
    flat = np.bincount(holdout.y.astype(np.int64) * size + placed.indices, minlength=classes * size)
    return flat.reshape(classes, size).astype(np.float64)


def forecast_sums(
    scorer: Scorer, holdout: TrainingFrame, predicted: Floats, golden: Record | None
) -> dict[str, Floats]:
    """Sums of the losses of forecasts; none for another task, or if a response lacks a number of the forecast."""
    task = scorer.response_format.task
    if not task.declares_forecast or not set(task.fields) <= _known_fields(scorer, predicted, golden):
        return {}
    return sums_of(holdout.y, predicted)
