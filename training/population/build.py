"""Building the population of a version from its training rows, its holdout and its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError, nearest
from scoring.encoder import Encoder
from scoring.encodings import Encoding
from scoring.encodings.numbers import UNKNOWN as UNKNOWN_NAME
from scoring.hooks import Record
from scoring.scorer import Scorer
from training.frame.frame import TrainingFrame
from training.frame.splits import Split
from training.population.bins import MISSING, BinIndices, CategoryBins, NumberBins
from training.population.placement import PlacedColumn, number_bins
from training.population.population import CountedColumn, CountedSlice, Population
from training.population.predictions import forecast_sums, outcomes, placed_prediction
from training.use_case.monitoring import MonitoringPlan

OWN_BINS, MOST_CATEGORIES = 50, 20


def population_of(
    scorer: Scorer, data: Split, predicted: Floats, plan: MonitoringPlan, golden: Record | None = None
) -> Population:
    """Count inputs on the reference rows, and predictions and labels on the holdout.

    Args:
        scorer: the refitted winner.
        data: training rows and holdout.
        predicted: the scorer's predictions for the holdout: (rows,) or (rows, classes).
        plan: names the reference rows and the slices; a slice that the inputs do not have is left out.
        golden: a caller's record, with which the hooks are tried: what they change is not monitored. None tries none.
    """
    on_holdout = plan.reference == "holdout"
    rows, others = (data.holdout, data.training) if on_holdout else (data.training, data.holdout)
    inputs, cohorts = _inputs(scorer.encoder, rows, others)
    changed = set() if golden is None else _changed_inputs(scorer, golden)
    inputs = {name: placed for name, placed in inputs.items() if name not in changed}
    cohorts = {name: each for name, each in cohorts.items() if each[0] not in changed}
    prediction = placed_prediction(scorer, predicted, golden)
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
        name: CountedColumn(placed.bins, placed.counts(), placed.merged)
        for name, placed in in_training.items()
        if name in inputs
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
        outcomes=outcomes(scorer, data.holdout, predicted, placed),
        threshold=response.threshold,
        classes=tuple(response.classes),
        losses=forecast_sums(scorer, data.holdout, predicted, golden),
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


def _changed_inputs(scorer: Scorer, golden: Record) -> set[str]:
    """Fields of a caller's record that a hook before the model reads in other units, or for another input."""
    read = scorer.hooks.before(0, golden)
    return {name for name, value in golden.items() if read.get(name) != value}


def _inputs(
    encoder: Encoder, rows: TrainingFrame, others: TrainingFrame
) -> tuple[dict[str, PlacedColumn], dict[str, tuple[str, PlacedColumn]]]:
    """Inputs by raw column, and cohorts by feature with their raw column."""
    inputs: dict[str, PlacedColumn] = {}
    cohorts: dict[str, tuple[str, PlacedColumn]] = {}
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
    inputs: Mapping[str, PlacedColumn], cohorts: Mapping[str, tuple[str, PlacedColumn]]
) -> dict[str, tuple[str, PlacedColumn]]:
    few = {
        name: (name, placed)
        for name, placed in inputs.items()
        if isinstance(placed.bins, CategoryBins) and placed.bins.size <= MOST_CATEGORIES
    }
    return {**few, **cohorts}


def _number(encoding: Encoding, rows: TrainingFrame, others: TrainingFrame) -> PlacedColumn:
    """A number; its bins and its range are those of all rows."""

    def present(frame: TrainingFrame) -> tuple[Floats, npt.NDArray[np.bool_]]:
        return encoding.numbers(frame.features)

    (values, is_missing), (elsewhere, missing_elsewhere) = present(rows), present(others)
    known = np.concatenate([values[~is_missing], elsewhere[~missing_elsewhere]])
    bins = number_bins(known if len(known) else np.zeros(1))
    bins = replace(bins, of_texts=encoding.is_free_text)
    return PlacedColumn(bins, np.where(is_missing, MISSING, bins.index_array(values)))


def _cohort(bounds: Sequence[float], cohorts: npt.NDArray[Any]) -> PlacedColumn:
    """The bins of a cohort: 0 is missing, 1 the first bin."""
    limit = float(np.finfo(np.float64).max)
    bins = NumberBins(tuple(map(float, bounds)), -limit, limit, (*map(float, bounds), float(bounds[-1])))
    return PlacedColumn(bins, np.where(cohorts == 0, MISSING, cohorts - 1).astype(np.int64))


def _category(names: Sequence[str], indices: BinIndices) -> PlacedColumn:
    """A category; the first name may be that of missing and unknown ones, otherwise it is a flag."""
    has_unknown = names[0] == UNKNOWN_NAME
    values: list[Any] = list(names[1:]) if has_unknown else [False, True]
    known = indices - 1 if has_unknown else indices
    order = np.argsort(-np.bincount(known[known >= 0], minlength=len(values)), kind="stable")
    own = min(len(values), OWN_BINS)
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.minimum(np.arange(len(values)), own)
    bins = CategoryBins(tuple(values[at] for at in order.tolist()), own)
    return PlacedColumn(bins, np.where(known < 0, MISSING, rank[np.maximum(known, 0)]), merged=has_unknown)
