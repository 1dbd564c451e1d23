"""Building the population of a version from its training rows, its holdout and its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError, nearest
from scoring.encoder import Encoder
from scoring.encodings import Encoding
from scoring.encodings.numbers import UNKNOWN as UNKNOWN_NAME
from scoring.scorer import Scorer
from training.frame.frame import TrainingFrame
from training.frame.splits import Split
from training.population.bins import MISSING, BinIndices, CategoryBins, ColumnBins, NumberBins, tally
from training.population.population import CountedColumn, CountedSlice, Population
from training.use_case.monitoring import MonitoringPlan

NUMBER_BINS, SCORE_BINS = 50, 100
MOST_DISTINCT = 10  # a number with so many distinct values is counted by value
OWN_BINS, MOST_CATEGORIES = 50, 20


@dataclass(frozen=True)
class _Placed:
    """A column with the bin of each reference row."""

    bins: ColumnBins
    indices: BinIndices
    merged: bool = False

    def counts(self, rows: npt.NDArray[np.bool_] | slice = slice(None)) -> Floats:
        indices = self.indices[rows]
        return tally(self.bins, indices, np.zeros(len(indices), dtype=np.bool_))

    def within(self, divided: "_Placed") -> Floats:
        """(categories, bins.size + 3) counts within each category of another column."""
        return np.stack([self.counts(divided.indices == category) for category in range(divided.bins.size)])


def population_of(scorer: Scorer, data: Split, predicted: Floats, plan: MonitoringPlan) -> Population:
    """Count inputs on the reference rows, and predictions and labels on the holdout.

    Args:
        scorer: the refitted winner.
        data: training rows and holdout.
        predicted: the scorer's predictions for the holdout: (rows,) or (rows, classes).
        plan: names the reference rows and the slices; a slice that the inputs do not have is left out.
    """
    on_holdout = plan.reference == "holdout"
    rows, others = (data.holdout, data.training) if on_holdout else (data.training, data.holdout)
    inputs, cohorts = _inputs(scorer.encoder, rows, others)
    prediction = _prediction(scorer, predicted)
    slices = {
        name: CountedSlice(
            column,
            divided.bins,
            {each: placed.within(divided) for each, placed in inputs.items()},
            prediction[1].within(divided) if prediction is not None and on_holdout else None,
        )
        for name, (column, divided) in _divisions(inputs, cohorts).items()
        if name in plan.slices
    }
    columns = {name: CountedColumn(placed.bins, placed.counts(), placed.merged) for name, placed in inputs.items()}
    in_training = _inputs(scorer.encoder, data.training, data.holdout)[0] if on_holdout else {}
    training = {
        name: CountedColumn(placed.bins, placed.counts(), placed.merged) for name, placed in in_training.items()
    }
    population = Population(columns, slices, training=training)
    if prediction is None:
        return population
    field, placed = prediction
    response = scorer.response_format
    return replace(
        population,
        response_field=field,
        prediction=CountedColumn(placed.bins, placed.counts()),
        outcomes=_outcomes(scorer, data.holdout, predicted, placed),
        threshold=response.threshold,
        classes=tuple(response.classes),
    )


def sliceable(encoder: Encoder) -> list[str]:
    """Names of the inputs and cohorts by which traffic may be divided."""
    names = [encoding.features[0] for encoding in encoder.encodings if hasattr(encoding, "bounds")]
    for column, encodings in encoder.by_column().items():
        listed = getattr(encodings[0], "listed", None)
        few = len(listed(encoder)) <= MOST_CATEGORIES if callable(listed) else False
        if few or encodings[0].field_kind == "boolean":
            names.append(column)
    return sorted(names)


class SliceUnknown(LakehouseError):
    """The inputs have no such slice."""

    @classmethod
    def of(cls, name: str, known: Sequence[str]) -> "SliceUnknown":
        return cls(
            f"monitoring.slices names '{name}', which divides no rows. {nearest(name, list(known))}",
            hint=f"A slice is an input of at most {MOST_CATEGORIES} categories, or a cohort.",
        )


def require_slices(plan: MonitoringPlan, encoder: Encoder) -> None:
    """Check the declared slices before a search starts.

    Raises:
        SliceUnknown: an input has too many categories, or does not exist.
    """
    known = sliceable(encoder)
    for name in plan.slices:
        if name not in known:
            raise SliceUnknown.of(name, known)


def number_bins(values: Floats, most: int = NUMBER_BINS, at: Sequence[float] = ()) -> NumberBins:
    """Bins with about equally many of the values; few distinct values have a bin each.

    Args:
        values: (n,) finite numbers, n > 0.
        most: largest number of bins.
        at: further inner edges.
    """
    distinct = np.unique(values)
    discrete = len(distinct) <= MOST_DISTINCT and not at
    if discrete:
        edges = [
            float(np.nextafter(a, np.inf)) if a + b == 2 * a else float((a + b) / 2) for a, b in pairwise(distinct)
        ]
    else:
        inner = np.quantile(values, np.linspace(0, 1, most + 1)[1:-1], method="inverted_cdf")
        edges = sorted({*inner.tolist(), *at} - {float(distinct[0])})
    edges = edges or [float(np.nextafter(distinct[-1], np.inf))]
    bins = np.searchsorted(edges, values, side="right")
    sums, counts = np.bincount(bins, values, len(edges) + 1), np.bincount(bins, minlength=len(edges) + 1)
    centres = np.where(counts > 0, sums / np.maximum(counts, 1), [*edges, edges[-1]])
    return NumberBins(tuple(edges), float(distinct[0]), float(distinct[-1]), tuple(centres.tolist()), discrete)


def _inputs(
    encoder: Encoder, rows: TrainingFrame, others: TrainingFrame
) -> tuple[dict[str, _Placed], dict[str, tuple[str, _Placed]]]:
    """Inputs by raw column, and cohorts by feature with their raw column."""
    inputs: dict[str, _Placed] = {}
    cohorts: dict[str, tuple[str, _Placed]] = {}
    described = encoder.by_column()
    for encoding in encoder.encodings:
        if not all(name in frame.features for name in encoding.features for frame in (rows, others)):
            continue  # the use case excludes it
        bounds = getattr(encoding, "bounds", None)
        if bounds is not None:
            placed = _cohort(bounds, rows.features[encoding.features[0]])
            cohorts[encoding.features[0]] = (encoding.column, placed)
        elif (names := encoding.row_categories(rows.features, encoder.vocabularies)) is not None:
            placed = _category(names.names, names.indices)
        else:
            placed = _number(encoding, rows, others)
        if encoding in described[encoding.column]:
            inputs.setdefault(encoding.column, placed)
    return inputs, cohorts


def _divisions(
    inputs: Mapping[str, _Placed], cohorts: Mapping[str, tuple[str, _Placed]]
) -> dict[str, tuple[str, _Placed]]:
    few = {
        name: (name, placed)
        for name, placed in inputs.items()
        if isinstance(placed.bins, CategoryBins) and placed.bins.size <= MOST_CATEGORIES
    }
    return {**few, **cohorts}


def _number(encoding: Encoding, rows: TrainingFrame, others: TrainingFrame) -> _Placed:
    """A number; its bins and its range are those of all rows."""

    def present(frame: TrainingFrame) -> tuple[Floats, npt.NDArray[np.bool_]]:
        return encoding.numbers(frame.features)

    (values, is_missing), (elsewhere, missing_elsewhere) = present(rows), present(others)
    known = np.concatenate([values[~is_missing], elsewhere[~missing_elsewhere]])
    bins = number_bins(known if len(known) else np.zeros(1))
    bins = replace(bins, of_texts=bool(encoding.text_features))
    return _Placed(bins, np.where(is_missing, MISSING, bins.index_array(values)))


def _cohort(bounds: Sequence[float], cohorts: npt.NDArray[Any]) -> _Placed:
    """The bins of a cohort: 0 is missing, 1 the first bin."""
    limit = float(np.finfo(np.float64).max)
    bins = NumberBins(tuple(map(float, bounds)), -limit, limit, (*map(float, bounds), float(bounds[-1])))
    return _Placed(bins, np.where(cohorts == 0, MISSING, cohorts - 1).astype(np.int64))


def _category(names: Sequence[str], indices: BinIndices) -> _Placed:
    """A category; the first name may be that of missing and unknown ones, otherwise it is a flag."""
    has_unknown = names[0] == UNKNOWN_NAME
    values: list[Any] = list(names[1:]) if has_unknown else [False, True]
    known = indices - 1 if has_unknown else indices
    order = np.argsort(-np.bincount(known[known >= 0], minlength=len(values)), kind="stable")
    own = min(len(values), OWN_BINS)
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.minimum(np.arange(len(values)), own)
    bins = CategoryBins(tuple(values[at] for at in order.tolist()), own)
    return _Placed(bins, np.where(known < 0, MISSING, rank[np.maximum(known, 0)]), merged=has_unknown)


def _prediction(scorer: Scorer, predicted: Floats) -> tuple[str, _Placed] | None:
    """The monitored response field with the bin of each prediction; None if a hook answers without a known field."""
    response, known = scorer.response_format, scorer.fields()
    single = [field for field in ("probability", "value") if field in known and predicted.ndim == 1]
    if single:
        at = [response.threshold] if response.task.predicts_classes else []
        bins = number_bins(predicted, SCORE_BINS, at)
        return single[0], _Placed(bins, bins.index_array(predicted))
    if "label" not in known:
        return None
    labels = response.task.columns("label", predicted, response.classes, response.threshold)["label"]
    categories = CategoryBins(tuple(response.classes), len(response.classes))
    return "label", _Placed(categories, categories.index(labels)[0])


def _outcomes(scorer: Scorer, holdout: TrainingFrame, predicted: Floats, placed: _Placed) -> Floats:
    """(classes, bins) number of rows by label and bin, or the sums of `MOMENTS`."""
    if not scorer.response_format.task.predicts_classes:
        error = predicted - holdout.y
        return np.asarray([len(error), np.abs(error).sum(), (error**2).sum(), (error**4).sum()])
    classes, size = len(scorer.response_format.classes), placed.bins.size
    flat = np.bincount(holdout.y.astype(np.int64) * size + placed.indices, minlength=classes * size)
    return flat.reshape(classes, size).astype(np.float64)
