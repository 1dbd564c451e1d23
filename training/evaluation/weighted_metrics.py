"""Bootstrap intervals of metrics, by how often each row was drawn instead of by copies of the rows.

A metric of a resample is a metric of the same rows with counts as weights. What can be sorted or summed once is then
not done again for each resample: ROC AUC of 30,000 rows takes a twentieth of the time. Tests hold every metric equal
to its definition in `training.evaluation.metrics` on the rows copied out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from training.evaluation.bootstrap import RESAMPLES, Interval, intervals
from training.evaluation.bootstrap import RowIndices as Places
from training.evaluation.metrics import METRICS, decided

DrawCounts = npt.NDArray[np.int64]  # (n,) how often each row was drawn, or (draws, n) of several draws at once
Counted = Callable[[DrawCounts], Any]  # a number, or (draws,) of them

FEWEST_DRAWS, ROWS_DRAWN = 50, 20_000_000


@dataclass(frozen=True)
class ScoredRows:
    """What was said about rows whose outcome is known.

    Attributes:
        labels: (n,) outcomes.
        predicted: (n,) probabilities of label 1, or (n, classes) of each class, or (n,) numbers.
        threshold: from which probability on the decision is 1.
    """

    labels: npt.NDArray[Any]
    predicted: Floats
    threshold: float

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "ScoredRows":
        return ScoredRows(self.labels[chosen], self.predicted[chosen], self.threshold)

    def metric(self, name: str) -> float:
        return METRICS[name].function(self.labels, self.predicted, self.threshold)


def metric_intervals(names: Sequence[str], folds: Sequence[ScoredRows]) -> dict[str, Interval]:
    """The mean over the folds of each metric, as trials are compared by, with its interval."""
    measured = {name: [counted(name, rows) for rows in folds] for name in names}
    sizes = [len(rows) for rows in folds]
    edges = np.cumsum(sizes)[:-1]

    def means(places: Places) -> dict[str, float]:
        counts = np.split(np.bincount(places, minlength=sum(sizes)), edges)
        return {
            name: float(np.mean([part(count) for part, count in zip(parts, counts, strict=True)]))
            for name, parts in measured.items()
        }

    return intervals(means, sum(sizes), draws=draws(sum(sizes)))


def gain_intervals(names: Sequence[str], new: ScoredRows, old: ScoredRows) -> dict[str, Interval]:
    """By how much `new` is better than `old` on the same rows, which are drawn in pairs; worse is negative."""
    measured = {name: (counted(name, new), counted(name, old)) for name in names}

    def gains(places: Places) -> dict[str, float]:
        counts = np.bincount(places, minlength=len(new))
        return {name: METRICS[name].gain(one(counts), over=other(counts)) for name, (one, other) in measured.items()}

    return intervals(gains, len(new), draws=draws(len(new)))


def draws(rows: int) -> int:
    """How many resamples are drawn of so many rows: fewer of many, whose intervals are narrow."""
    return int(np.clip(ROWS_DRAWN // max(rows, 1), FEWEST_DRAWS, RESAMPLES))


def counted(name: str, rows: ScoredRows) -> Counted:
    """The metric as a function of how often each row was drawn; NaN where such rows do not define it."""
    known = _COUNTED if rows.predicted.ndim == 1 else _COUNTED_OF_CLASSES
    if name in known:
        return known[name](rows)

    def copied(counts: DrawCounts) -> Any:
        if counts.ndim == 2:
            return np.asarray([copied(each) for each in counts])
        return rows.take(np.repeat(np.arange(len(rows)), counts)).metric(name)

    return copied


def _roc_auc(rows: ScoredRows) -> Counted:
    """The share of the pairs of a positive and a negative row that are in order; of equal ones a half."""
    order = np.argsort(rows.predicted, kind="stable")
    true = rows.labels[order].astype(np.bool_)
    said, positives, negatives = rows.predicted[order], order[true], order[~true]
    first = np.searchsorted(said[~true], said[true], side="left")
    last = np.searchsorted(said[~true], said[true], side="right")
    tied = bool((first != last).any())

    def auc(counts: DrawCounts) -> Any:
        positive, negative = counts.take(positives, axis=-1), counts.take(negatives, axis=-1)
        below = np.zeros((*counts.shape[:-1], len(negatives) + 1), dtype=np.int64)
        np.cumsum(negative, axis=-1, out=below[..., 1:])
        passed = below.take(first, axis=-1)
        if tied:
            passed = (passed + below.take(last, axis=-1)) / 2
        ordered = np.einsum("...i,...i->...", positive, passed)
        return _ratio(ordered, positive.sum(axis=-1) * below[..., -1].astype(np.float64))

    return auc


def _average_precision(rows: ScoredRows) -> Counted:
    tied = _Ties(rows)

    def area(counts: DrawCounts) -> Any:
        positive, negative = (part[..., ::-1] for part in tied.sums(counts))
        found = np.cumsum(positive, axis=-1)
        precision = found / np.maximum(found + np.cumsum(negative, axis=-1), 1)
        return _ratio((positive * precision).sum(axis=-1), positive.sum(axis=-1))

    return area


class _Ties:
    """Rows in order of what was predicted, equal predictions together."""

    def __init__(self, rows: ScoredRows) -> None:
        self._order = np.argsort(rows.predicted, kind="stable")
        ordered = rows.predicted[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._positive = rows.labels[self._order].astype(np.int64)

    def sums(self, counts: DrawCounts) -> tuple[DrawCounts, DrawCounts]:
        """Rows of label 1 and of label 0 at each distinct prediction, ascending."""
        ordered = counts[..., self._order]
        of_one = ordered * self._positive
        positive = np.add.reduceat(of_one, self._starts, axis=-1)
        return positive, np.add.reduceat(ordered - of_one, self._starts, axis=-1)


def _of_decisions(combine: Callable[[Any, Any, Any, Any], Any]) -> Callable[[ScoredRows], Counted]:
    def of(rows: ScoredRows) -> Counted:
        said, true = rows.predicted >= rows.threshold, rows.labels.astype(np.bool_)
        cells = np.stack([said & true, said & ~true, ~said & true, ~said & ~true], axis=1).astype(np.float64)
        return lambda counts: combine(*np.moveaxis(counts @ cells, -1, 0))

    return of


def _log_loss(rows: ScoredRows) -> Counted:
    eps = np.finfo(np.float64).eps
    said = np.where(rows.labels.astype(np.bool_), rows.predicted, 1 - rows.predicted).clip(eps, 1 - eps)
    losses = -np.log(said)
    return lambda counts: _ratio(counts @ losses, counts.sum(axis=-1))


def _right_of_classes(rows: ScoredRows) -> Counted:
    right = (decided(rows.predicted, rows.threshold) == rows.labels).astype(np.float64)
    return lambda counts: _ratio(counts @ right, counts.sum(axis=-1))


def _log_loss_of_classes(rows: ScoredRows) -> Counted:
    eps = np.finfo(np.float64).eps
    losses = -np.log(rows.predicted[np.arange(len(rows)), rows.labels].clip(eps, 1 - eps))
    return lambda counts: _ratio(counts @ losses, counts.sum(axis=-1))


def _macro_f1(rows: ScoredRows) -> Counted:
    """The mean over the classes that a resample has, in labels or decisions."""
    classes = np.arange(rows.predicted.shape[1])
    said = (decided(rows.predicted, rows.threshold)[:, None] == classes).astype(np.float64)
    true = (rows.labels[:, None] == classes).astype(np.float64)

    def f1(counts: DrawCounts) -> Any:
        hits, either = counts @ (said * true), counts @ (said + true)
        return _ratio(_ratio(2 * hits, either, 0.0).sum(axis=-1), (either > 0).sum(axis=-1))

    return f1


def _roc_auc_of_classes(rows: ScoredRows) -> Counted:
    """The mean over the classes that have both rows in them and rows outside, each against the rest."""
    areas_of = [
        _roc_auc(ScoredRows(rows.labels == place, said, rows.threshold))
        for place, said in enumerate(rows.predicted.T)
    ]

    def auc(counts: DrawCounts) -> Any:
        areas = np.stack([area(counts) for area in areas_of])
        there = ~np.isnan(areas)
        return _ratio(np.where(there, areas, 0).sum(axis=0), there.sum(axis=0))

    return auc


def _ratio(part: Any, whole: Any, nothing: float = float("nan")) -> Any:
    """The share; `nothing` where the whole is 0."""
    return np.where(whole != 0, part / np.where(whole != 0, whole, 1), nothing)[()]


_COUNTED: Mapping[str, Callable[[ScoredRows], Counted]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "accuracy": _of_decisions(lambda tp, fp, fn, tn: _ratio(tp + tn, tp + fp + fn + tn)),
    "precision": _of_decisions(lambda tp, fp, _fn, _tn: _ratio(tp, tp + fp, 0.0)),
    "recall": _of_decisions(lambda tp, _fp, fn, _tn: _ratio(tp, tp + fn, 0.0)),
    "f1": _of_decisions(lambda tp, fp, fn, _tn: _ratio(2 * tp, 2 * tp + fp + fn, 0.0)),
}
_COUNTED_OF_CLASSES: Mapping[str, Callable[[ScoredRows], Counted]] = {
    "accuracy": _right_of_classes,
    "log_loss": _log_loss_of_classes,
    "macro_f1": _macro_f1,
    "roc_auc": _roc_auc_of_classes,
}
