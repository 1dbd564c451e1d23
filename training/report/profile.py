"""The profile of each input: missing and distinct values, distribution, drift to the holdout, and strength alone.

Everything is read back from feature columns, so that the profile is of what the model learns from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.encoder import Encoder
from scoring.encodings.numbers import UNKNOWN
from training.evaluation.metrics import METRICS
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import groups
from training.frame.splits import Split
from training.report.input_values import InputValues, input_values

NUMBER_BARS, MOST_BARS = 20, 12  # bars of a number, and of categories, the rest in one
TAIL = 0.005  # of the values at each end, which the outer bars hold
ROWS_ALONE, LEAST_ROWS_ALONE, DEPTH_ALONE = 5_000, 40, 3  # of the model of one input
DRIFTED, TIMES_CHANCE = 0.1, 2.0  # from this distance on, and this many times what chance alone gives
SUSPECT = {"roc_auc": 0.98, "r2": 0.98}  # from this value of one input alone on


@dataclass(frozen=True)
class Distribution:
    """Shares of an input's values in the same bars, over the rows where it is known.

    Attributes:
        names: of each bar.
        training, holdout: (bars,) shares, each summing to 1; all 0 without a known value.
        ordered: True for a number or ordered categories.
    """

    names: tuple[str, ...]
    training: Floats
    holdout: Floats
    ordered: bool


@dataclass(frozen=True)
class InputProfile:
    """One input on the training rows and on the holdout.

    Attributes:
        kind: `number`, `flag`, `category`, or `text length`, the number that stands for a text.
        missing, missing_in_holdout: shares of rows without a known value.
        distinct: number of distinct known values in training.
        drift: share of the holdout's rows that would have to move for equal distributions, missing ones included.
        chance: the same share that two samples of one distribution have on average.
        alone: ROC AUC or R² of a shallow tree on this input alone, fitted on one half of the training rows and
            measured on the other; NaN if that is not defined, or was not computed in time.
    """

    name: str
    kind: str
    missing: float
    missing_in_holdout: float
    distinct: int
    distribution: Distribution
    drift: float
    chance: float
    alone: float
    alone_metric: str

    @property
    def has_drifted(self) -> bool:
        return self.drift >= max(DRIFTED, TIMES_CHANCE * self.chance)

    @property
    def is_suspect(self) -> bool:
        return bool(self.alone >= SUSPECT[self.alone_metric])


def profiles(encoder: Encoder, data: Split, seed: int, seconds: float) -> list[InputProfile]:
    """Profile every input of the model, in the order of the encodings.

    Args:
        seconds: time limit for the models of one input; later inputs have none.
    """
    return list(_profiles(encoder, data, np.random.default_rng(seed), monotonic() + seconds))


def _profiles(encoder: Encoder, data: Split, random: np.random.Generator, end: float) -> Iterator[InputProfile]:
    halves = _halves(data.training, random)
    texts = {each.column for each in encoder.encodings if each.is_free_text}
    for name, features in groups(encoder).items():
        training, holdout = (input_values(name, encoder, part.features) for part in (data.training, data.holdout))
        distribution = _distribution(training, holdout)
        drift, chance = _distance(training, holdout, distribution)
        alone = _alone(data.training, features, halves) if monotonic() < end else float("nan")
        yield InputProfile(
            name,
            "text length"
            if name in texts
            else "number"
            if training.names is None
            else "flag"
            if training.names[0] != UNKNOWN
            else "category",
            training.missing_share,
            holdout.missing_share,
            len(np.unique(training.known)),
            distribution,
            drift,
            chance,
            alone,
            _metric_alone(data.training),
        )


def _distribution(training: InputValues, holdout: InputValues) -> Distribution:
    if training.names is not None:
        return _of_categories(training, holdout, training.names)
    known = training.known if len(training.known) else np.zeros(1)
    low, high = np.quantile(known, [TAIL, 1 - TAIL]).tolist()
    distinct = np.unique(known)
    if len(distinct) <= MOST_BARS:
        edges = np.concatenate([[-np.inf], (distinct[1:] + distinct[:-1]) / 2, [np.inf]])
        names = tuple(f"{value:,.6g}" for value in distinct)
    else:
        inner = np.linspace(low, high if high > low else low + 1, NUMBER_BARS + 1)
        edges = np.concatenate([[-np.inf], inner[1:-1], [np.inf]])
        names = tuple(f"{a:,.4g} to {b:,.4g}" for a, b in pairwise(inner.tolist()))
    return Distribution(names, _shares(training.known, edges), _shares(holdout.known, edges), ordered=True)


def _of_categories(training: InputValues, holdout: InputValues, names: tuple[str, ...]) -> Distribution:
    counts, later = (
        np.bincount(each.known.astype(np.int64), minlength=len(names)).astype(np.float64)
        for each in (training, holdout)
    )
    used = np.flatnonzero(counts + later)
    order = used if training.ordered else used[np.argsort(-counts[used], kind="stable")]
    shown, rest = (order, order[:0]) if len(order) <= MOST_BARS else (order[: MOST_BARS - 1], order[MOST_BARS - 1 :])
    labels = [names[index] for index in shown.tolist()]
    bars = [np.append(each[shown], each[rest].sum()) if len(rest) else each[shown] for each in (counts, later)]
    if len(rest):
        labels.append(f"{len(rest):,} others")
    first, second = (bar / max(bar.sum(), 1.0) for bar in bars)
    return Distribution(tuple(labels), first, second, ordered=training.ordered)


def _shares(values: Floats, edges: Floats) -> Floats:
    return np.histogram(values, edges)[0] / max(len(values), 1)


def _distance(training: InputValues, holdout: InputValues, distribution: Distribution) -> tuple[float, float]:
    """Total variation distance with the missing share as one more bar, and its mean between equal distributions."""
    p, q = (
        np.append(shares * (1 - each.missing_share), each.missing_share)
        for shares, each in ((distribution.training, training), (distribution.holdout, holdout))
    )
    n, m = len(training.numbers), len(holdout.numbers)
    pooled = (n * p + m * q) / (n + m)
    # The mean absolute difference of two shares is that of a normal variable of the same variance.
    chance = np.sqrt(2 / np.pi * pooled * (1 - pooled) * (1 / n + 1 / m)).sum() / 2
    return float(np.abs(p - q).sum() / 2), float(chance)


def _metric_alone(frame: TrainingFrame) -> str:
    return "roc_auc" if frame.task.predicts_classes else "r2"


def _halves(frame: TrainingFrame, random: np.random.Generator) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows to fit on and rows to measure on: the earlier and the later half, or random ones without an order."""
    order = np.arange(len(frame)) if frame.in_time else random.permutation(len(frame))
    first, second = np.array_split(order, 2)
    return _some(first, random), _some(second, random)


def _some(rows: npt.NDArray[np.intp], random: np.random.Generator) -> npt.NDArray[np.intp]:
    return np.sort(random.permutation(rows)[:ROWS_ALONE])


def _alone(frame: TrainingFrame, features: tuple[str, ...], halves: tuple[Any, Any]) -> float:
    """ROC AUC or R² of a shallow tree on the feature columns of one input."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    fit_on, measure = halves
    labels = frame.y[fit_on]
    if len(fit_on) < LEAST_ROWS_ALONE or len(np.unique(labels)) < 2:
        return float("nan")
    numbers = [name for name in features if name not in frame.encoder.text_features]
    if not numbers:
        return float("nan")
    x = np.stack([frame.features[name] for name in numbers], axis=1).astype(np.float64)
    options: Mapping[str, Any] = {
        "max_depth": DEPTH_ALONE, "min_samples_leaf": max(5, len(fit_on) // 200), "random_state": 0,
    }  # fmt: skip
    metric = METRICS[_metric_alone(frame)].function
    if not frame.task.predicts_classes:
        predicted = DecisionTreeRegressor(**options).fit(x[fit_on], labels).predict(x[measure])
        return metric(frame.y[measure], predicted, 0.5)
    tree = DecisionTreeClassifier(**options).fit(x[fit_on], labels)
    probabilities = np.zeros((len(measure), max(len(frame.classes), 2)))
    probabilities[:, tree.classes_.astype(np.int64)] = tree.predict_proba(x[measure])
    return metric(frame.y[measure], probabilities[:, 1] if len(frame.classes) <= 2 else probabilities, 0.5)
