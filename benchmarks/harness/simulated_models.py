"""Pairs and series of models whose true difference is known exactly, and what the gate decides on them.

Scores are normal for each label, so the true ROC AUC of a model is known: an area `p` requires a distance of
`sqrt(2) * probit(p)` between the labels. The models of a pair share most of their noise, like two models trained on
nearly the same rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from deployment.gate.criteria.comparison import DRAWS, bounds, gain, spent
from deployment.gate.criteria.decision import HoldoutRows, Scores
from deployment.gate.criteria.guards import compare_slice, guards
from lakehouse.arrays import Floats
from scoring.tasks import BINARY
from training.evaluation.resampling import INDEPENDENT, Dependence
from training.evaluation.weighted_metrics import ScoredRows
from training.use_case.promotion import PromotionCriteria

CHAMPION, CONFIDENCE = 0.75, 0.95
POSITIVE, SHARED = 0.3, 0.9  # share of label 1, and share of the noise common to a pair
Noise = Callable[[np.random.Generator], Floats]


# Dependent rows.

ROWS_PER_ENTITY, SAME_ENTITY, AUTOCORRELATION = 10, 0.5, 0.8


def _independent(draw: np.random.Generator) -> Floats:
    return draw.normal(size=1_000)


def _of_entities(draw: np.random.Generator) -> Floats:
    """100 entities of 10 rows, correlated by 0.5."""
    shared = np.repeat(draw.normal(size=100), ROWS_PER_ENTITY)
    return np.asarray(np.sqrt(SAME_ENTITY) * shared + np.sqrt(1 - SAME_ENTITY) * draw.normal(size=1_000))


def _of_times(draw: np.random.Generator, count: int = 1_000) -> Floats:
    """Rows of successive times, an AR(1) series."""
    from scipy.signal import lfilter

    steps = draw.normal(size=count + 100) * np.sqrt(1 - AUTOCORRELATION**2)
    return np.asarray(lfilter([1], [1, -AUTOCORRELATION], steps))[100:]


def _of_both(draw: np.random.Generator) -> Floats:
    """100 entities at each of 10 of 100 times."""
    entities, times = draw.normal(size=100), _of_times(draw, 100)
    parts = entities[_ENTITIES], times[_TIMES], draw.normal(size=1_000)
    return np.asarray(sum(np.sqrt(1 / 3) * part for part in parts))


_ENTITIES, _TIMES = np.repeat(np.arange(100), 10), (np.arange(1_000) * 37 + np.arange(1_000) // 100) % 100
_DAY = np.datetime64("2024-01-01") + np.arange(1_000).astype("timedelta64[D]")
_OF_10 = np.repeat(np.arange(100), ROWS_PER_ENTITY)
STRUCTURES: Mapping[str, tuple[Noise, Dependence]] = {
    "1 row an entity": (_independent, Dependence(np.arange(1_000))),
    "10 rows an entity": (_of_entities, Dependence(_OF_10)),
    "autocorrelated times": (_of_times, Dependence(np.arange(1_000), _DAY)),
    "independent rows in time": (_independent, Dependence(np.arange(1_000), _DAY)),
    "entities and times": (_of_both, Dependence(_ENTITIES, _DAY[_TIMES])),
}


def dependent_pair(structure: str, *, seed: int) -> tuple[bool, bool]:
    """Find one of two equal models superior: by draws of rows, and by the draws of the gate."""
    noise, dependence = STRUCTURES[structure]
    draw = np.random.default_rng([seed, 7])
    labels = (noise(draw) < norm.ppf(POSITIVE)).astype(np.int64)
    common = noise(draw)
    own = [noise(draw) for _ in range(2)]
    outcomes = []
    for kind in (INDEPENDENT, dependence):
        new, old = (ScoredRows(labels, scores(CHAMPION, labels, common, each), 0.5, kind) for each in own)
        outcomes.append(gain("roc_auc", new, old, CONFIDENCE).low > 0)
    return outcomes[0], outcomes[1]


def scores(area: float, labels: np.ndarray, common: Floats, own: Floats) -> Floats:
    """Probabilities with this true ROC AUC."""
    noise = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
    return np.asarray(norm.cdf(labels * np.sqrt(2) * norm.ppf(area) + noise))


# Weekly retrainings: models that are right with a known probability, on a holdout of the last weeks.

WEEKLY_ROWS, HOLDOUT_WEEKS, ACCURACY, MARGIN = 400, 10, 0.75, 0.01


@dataclass(frozen=True)
class Series:
    """The promotions of one series of weekly retrainings: by week, and the true accuracy of the last champion."""

    promoted: tuple[bool, ...]
    accuracy: float


@dataclass(frozen=True)
class Challengers:
    """The challengers of a series, and their test.

    Attributes:
        weeks: number of retrainings.
        step: true accuracy of each challenger, minus the champion's.
        superior: test for superiority; else for non-inferiority by the margin.
        follows: `step` is from the current champion; else from the first one.
    """

    weeks: int
    step: float
    superior: bool
    follows: bool = False


def weekly_retrainings(plan: Challengers, *, guarded: bool, seed: int) -> Series:
    """Promote or refuse a challenger each week.

    Args:
        plan: the challengers.
        guarded: spend the error rate over the attempts, and compare with the best former champion.
        seed: of the series.
    """
    draw = np.random.default_rng([seed, 11])
    rows = WEEKLY_ROWS * (plan.weeks + HOLDOUT_WEEKS)
    common = np.sqrt(SHARED) * draw.normal(size=rows)

    def new_model(accuracy: float) -> tuple[Floats, float]:
        latent = common + np.sqrt(1 - SHARED) * draw.normal(size=rows)
        return (latent < norm.ppf(accuracy)).astype(np.float64), accuracy

    first = champion = best = new_model(ACCURACY)
    promoted = []
    for week in range(plan.weeks):
        attempt = min(week, HOLDOUT_WEEKS - 1) + 1 if guarded else 1
        confidence = spent(CONFIDENCE, attempt) if guarded else CONFIDENCE
        holdout = slice(week * WEEKLY_ROWS, (week + HOLDOUT_WEEKS) * WEEKLY_ROWS)
        challenger = new_model((champion if plan.follows else first)[1] + plan.step)
        passes = _lower_bound((challenger, champion), holdout, confidence, week) > (0 if plan.superior else -MARGIN)
        over_best = _lower_bound((challenger, best), holdout, confidence, week) if passes and guarded else 1.0
        promoted.append(passes and over_best > -MARGIN)
        if promoted[-1]:
            champion = challenger
            best = challenger if over_best > 0 else best
    return Series(tuple(promoted), champion[1])


def _lower_bound(
    models: tuple[tuple[Floats, float], tuple[Floats, float]], holdout: slice, confidence: float, seed: int
) -> float:
    """The lower bound of the first model's gain in accuracy.

    A resample of rows has a multinomial number of those that only the first, or only the second model has right. To
    draw these two numbers is to draw the rows, in a thousandth of the time.
    """
    difference = models[0][0][holdout] - models[1][0][holdout]
    rows = len(difference)
    gained, lost = (difference > 0).sum() / rows, (difference < 0).sum() / rows
    drawn = np.random.default_rng(seed).multinomial(rows, [gained, lost, 1 - gained - lost], DRAWS)
    return bounds((drawn[:, 0] - drawn[:, 1]) / rows, confidence)[0]


# Slices.


def equal_slices_refused(slices: int, rows: int, limit: float, *, seed: int) -> tuple[bool, bool]:
    """Refuse an equal model by the point estimates of its slices, and by the guard."""
    draw = np.random.default_rng([seed, 13])
    slice_of = np.repeat(np.arange(slices), rows)
    labels = (draw.random(len(slice_of)) < POSITIVE).astype(np.int64)
    common = draw.normal(size=len(labels))
    new, old = (
        Scores(version, "", scores(CHAMPION, labels, common, draw.normal(size=len(labels)))) for version in (2, 1)
    )
    policy = _policy(limit)
    reasons = list(guards(HoldoutRows(BINARY, "", labels, {"slice": slice_of}), new, old, policy))
    gains = [reason.interval.value for reason in reasons if reason.interval is not None]
    return min(gains) < -limit, not all(reason.passed for reason in reasons)


def worse_slice_refused(slices: int, rows: int, limit: float, drop: float, *, seed: int) -> tuple[bool, bool]:
    """Refuse by one slice of several, on which the model is worse: by the point estimate, and by the guard."""
    draw = np.random.default_rng([seed, 17])
    labels = (draw.random(rows) < POSITIVE).astype(np.int64)
    common = draw.normal(size=rows)
    new, old = (
        ScoredRows(labels, scores(area, labels, common, draw.normal(size=rows)), 0.5)
        for area in (CHAMPION - drop, CHAMPION)
    )
    found = compare_slice("slice", {2: new, 1: old}, _policy(limit), 1 - (1 - CONFIDENCE) / slices)
    return found.interval is not None and found.interval.value < -limit, not found.passed


def _policy(limit: float) -> PromotionCriteria:
    limits = {"slices": ["slice"], "max_slice_drop": limit, "input_schema": "any", "min_slice_rows": 1}
    return PromotionCriteria.model_validate({"minimum": 0, "confidence": CONFIDENCE, "guards": limits})
