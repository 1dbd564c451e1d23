"""Importance of hyperparameters: the share of the metric's variance over trials that each one explains alone.

Functional ANOVA: a random forest predicts the metric from the hyperparameters of one family's trials. The share of a
hyperparameter is the variance of its marginal prediction, divided by the variance of the forest. Means are taken over
points spread uniformly over the tried ranges: the trials themselves cluster at good values.

Source: Hutter, Hoos & Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance (2014), with
Monte Carlo in place of its partitions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestRegressor

from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS
from training.models import FAMILIES
from training.search.pruning.medians import MedianRule
from training.search.trial import Trial
from training.space.space import Params, Value

MIN_TRIALS, POINTS, GRID, TREES = 12, 400, 16, 64
STEPS = 1000  # of the displayed shares, together 100 %
MIN_LOG_RATIO = 50  # a positive range is log-scaled if its end is at least this many times its start


@dataclass(frozen=True)
class StudiedDimension:
    """One hyperparameter as numbers: log10 of its values, or their indices in `names`."""

    name: str
    log: bool
    names: tuple[str, ...]
    low: float
    high: float

    @classmethod
    def of(cls, name: str, values: Sequence[Value]) -> "StudiedDimension":
        """The range of the values in the trials."""
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            numbers = [float(str(value)) for value in values]
            log = min(numbers) > 0 and max(numbers) / min(numbers) >= MIN_LOG_RATIO
            low, high = (float(np.log10(bound)) if log else bound for bound in (min(numbers), max(numbers)))
            return cls(name, log, (), low, high)
        names = tuple(sorted({str(value) for value in values}, key=_sort_key))
        return cls(name, log=False, names=names, low=0, high=len(names) - 1)

    def coordinate(self, params: Params) -> float:
        """The value of a trial; the middle of the range if the trial has none."""
        if self.name not in params:
            return (self.low + self.high) / 2
        value = str(params[self.name])
        if self.names:
            return float(self.names.index(value))
        return float(np.log10(float(value))) if self.log else float(value)

    def grid(self, count: int) -> Floats:
        """Middles of `count` equal parts of the range; for names, one value each.

        The ends of the range would weigh too much: 16 points from end to end vary by 13 % more than the range.
        """
        if self.names:
            return np.arange(len(self.names), dtype=np.float64)
        return self.low + (self.high - self.low) * (np.arange(count) + 0.5) / count


@dataclass(frozen=True)
class HyperparameterImportance:
    """Importance of the hyperparameters of a family.

    Attributes:
        trials: number of trials, including those stopped early.
        stopped: number of trials stopped early.
        shares: share of the variance that each hyperparameter explains alone, largest first; at most 1 together.
        fit: R² of the forest on unseen trials.
    """

    family: str
    trials: int
    stopped: int
    shares: Mapping[str, float]
    fit: float

    @property
    def joint(self) -> float:
        """Share of the variance that only several hyperparameters together explain."""
        return max(0.0, 1 - sum(self.shares.values()))

    def displayed(self) -> tuple[dict[str, float], float]:
        """The shares and the joint one in steps of 0.1 %, which add up to 100 %: the largest rests are rounded up."""
        exact = np.array([*self.shares.values(), self.joint]) * STEPS
        steps = np.floor(exact)
        steps[np.argsort(steps - exact, kind="stable")[: STEPS - int(steps.sum())]] += 1
        *shares, joint = (steps / STEPS).tolist()
        return dict(zip(self.shares, shares, strict=True)), joint


def scored_trials(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """Trials with a value of the metric; that of a trial stopped early is estimated.

    The estimate keeps the trial's distance to the median at the end. A trial that was stopped before the end of its
    first fold, or for a metric that is not a number, is left out.
    """
    ended = [trial for trial in trials if np.isfinite(trial.loss(metric))]
    rule = MedianRule(metric)
    for trial in ended:
        if FAMILIES[trial.candidate.family].searched:
            rule.observe(trial.fold_losses(metric))
    stopped = [trial for trial in trials if trial.status == "pruned" and trial.per_fold]
    estimates = [METRICS[metric].loss(rule.estimate(trial.fold_losses(metric))) for trial in stopped]
    estimated_trials = [
        replace(trial, metrics={metric: value})
        for trial, value in zip(stopped, estimates, strict=True)
        if np.isfinite(value)
    ]
    return sorted([*ended, *estimated_trials], key=lambda trial: trial.number)


def studied_dimensions(trials: Sequence[Trial]) -> list[StudiedDimension]:
    """Hyperparameters with more than one value, including those that only some trials have."""
    params = [trial.candidate.params for trial in trials]
    names = list(dict.fromkeys(name for each in params for name in each))
    all_dimensions = [StudiedDimension.of(name, [each[name] for each in params if name in each]) for name in names]
    return [dimension for dimension in all_dimensions if dimension.high > dimension.low]


def hyperparameter_importance(trials: Sequence[Trial], metric: str, seed: int) -> HyperparameterImportance | None:
    """Importance over trials of one family that have the metric; None if they are too few or do not differ."""
    if len(trials) < MIN_TRIALS:
        return None
    axes = studied_dimensions(trials)
    y = np.array([trial.metrics[metric] for trial in trials])
    if not axes or np.ptp(y) == 0:
        return None
    x = np.array([[axis.coordinate(trial.candidate.params) for axis in axes] for trial in trials])
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, oob_score=True, random_state=seed).fit(x, y)
    random = np.random.default_rng(seed)
    points = np.stack([_uniform(axis, random) for axis in axes], axis=1)
    variance = float(np.var(forest.predict(points)))
    explained = {
        axis.name: _marginal_variance(forest, points, column, axis.grid(GRID)) for column, axis in enumerate(axes)
    }
    ordered = sorted(explained.items(), key=lambda item: (-item[1], item[0]))
    # Both are estimates on some points: without joint effects, the parts may be a little larger than their sum.
    total = max(variance, sum(explained.values()))
    if total == 0:
        return None
    explained_shares = {name: alone / total for name, alone in ordered}
    stopped = sum(trial.status == "pruned" for trial in trials)
    return HyperparameterImportance(
        trials[0].candidate.family, len(trials), stopped, explained_shares, float(forest.oob_score_)
    )


def _marginal_variance(
    forest: RandomForestRegressor, points: Floats, column: int, values: npt.NDArray[np.float64]
) -> float:
    grid_points = np.repeat(points[None], len(values), axis=0)
    grid_points[:, :, column] = values[:, None]
    predicted = forest.predict(grid_points.reshape(-1, points.shape[1])).reshape(len(values), len(points))
    return float(np.var(predicted.mean(axis=1)))


def _uniform(axis: StudiedDimension, random: np.random.Generator) -> Floats:
    if axis.names:
        return random.integers(0, len(axis.names), POINTS).astype(np.float64)
    return random.uniform(axis.low, axis.high, POINTS)


def _sort_key(name: str) -> tuple[int, float, str]:
    """Order `None` first, then numbers by size, then words."""
    try:
        return (1, float(name), name)
    except ValueError:
        return (0 if name == "None" else 2, 0.0, name)
