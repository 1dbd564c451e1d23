"""Which hyperparameters mattered: how much of what the trials differ by each one explains alone.

Functional ANOVA: a random forest learns the metric from the hyperparameters of one family's trials; the share of a
hyperparameter is the variance of the forest's mean over all others, in the variance of the forest. The means are
taken over points spread evenly over the tried ranges and not over the trials, which crowd where it is good.

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
from training.search.pruning import MedianRule
from training.search.trial import Trial
from training.space.space import Params, Value

FEWEST_TRIALS, POINTS, GRID, TREES = 12, 400, 16, 64
WIDE = 50  # a positive range whose end is so many times its start is taken in magnitudes


@dataclass(frozen=True)
class StudiedDimension:
    """One hyperparameter as numbers: magnitudes, or the places of its values in `names`."""

    name: str
    log: bool
    names: tuple[str, ...]
    low: float
    high: float

    @classmethod
    def of(cls, name: str, values: Sequence[Value]) -> "StudiedDimension":
        """The range of the values that were tried."""
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            numbers = [float(str(value)) for value in values]
            log = min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE
            low, high = (float(np.log10(bound)) if log else bound for bound in (min(numbers), max(numbers)))
            return cls(name, log, (), low, high)
        names = tuple(sorted({str(value) for value in values}, key=_in_order))
        return cls(name, log=False, names=names, low=0, high=len(names) - 1)

    def number(self, params: Params) -> float:
        """The trial's value; the middle of the range where the trial has none."""
        if self.name not in params:
            return (self.low + self.high) / 2
        value = str(params[self.name])
        if self.names:
            return float(self.names.index(value))
        return float(np.log10(float(value))) if self.log else float(value)

    def spread(self, count: int) -> Floats:
        """So many values evenly over the range; for names, each of them."""
        return np.arange(len(self.names), dtype=np.float64) if self.names else np.linspace(self.low, self.high, count)


@dataclass(frozen=True)
class Shares:
    """What hyperparameters explain of the trials of a family, some of which were stopped early.

    Attributes:
        shares: how much each one explains alone, the most first.
        fit: how well the forest predicts unseen trials.
    """

    family: str
    trials: int
    stopped: int
    shares: Mapping[str, float]
    fit: float


def judged(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """The trials that have the metric, and those stopped early with it as far behind the final medians as they were.

    One that was stopped for a metric that is no number has none here either.
    """
    ended = [trial for trial in trials if np.isfinite(trial.loss(metric))]
    rule = MedianRule(metric)
    for trial in ended:
        if FAMILIES[trial.candidate.family].searched:
            rule.learn(trial.fold_losses(metric))
    stopped = [trial for trial in trials if trial.status == "pruned"]
    told = [METRICS[metric].loss(rule.estimate(trial.fold_losses(metric))) for trial in stopped]
    estimated = [
        replace(trial, metrics={metric: value})
        for trial, value in zip(stopped, told, strict=True)
        if np.isfinite(value)
    ]
    return sorted([*ended, *estimated], key=lambda trial: trial.number)


def dimensions(trials: Sequence[Trial]) -> list[StudiedDimension]:
    """The hyperparameters that the trials have in more than one value, also those that only some of them have."""
    params = [trial.candidate.params for trial in trials]
    names = list(dict.fromkeys(name for each in params for name in each))
    found = [StudiedDimension.of(name, [each[name] for each in params if name in each]) for name in names]
    return [dimension for dimension in found if dimension.high > dimension.low]


def shares(trials: Sequence[Trial], metric: str, seed: int) -> Shares | None:
    """The shares among trials of one family that have the metric; None of too few, or if they do not differ."""
    if len(trials) < FEWEST_TRIALS:
        return None
    axes = dimensions(trials)
    y = np.array([trial.metrics[metric] for trial in trials])
    if not axes or np.ptp(y) == 0:
        return None
    x = np.array([[axis.number(trial.candidate.params) for axis in axes] for trial in trials])
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, oob_score=True, random_state=seed).fit(x, y)
    random = np.random.default_rng(seed)
    points = np.stack([_evenly(axis, random) for axis in axes], axis=1)
    total = float(np.var(forest.predict(points)))
    explained = {axis.name: _alone(forest, points, place, axis.spread(GRID)) for place, axis in enumerate(axes)}
    ordered = sorted(explained.items(), key=lambda item: (-item[1], item[0]))
    found = {name: variance / total if total > 0 else 0.0 for name, variance in ordered}
    stopped = sum(trial.status == "pruned" for trial in trials)
    return Shares(trials[0].candidate.family, len(trials), stopped, found, float(forest.oob_score_))


def _alone(forest: RandomForestRegressor, points: Floats, place: int, values: npt.NDArray[np.float64]) -> float:
    tried = np.repeat(points[None], len(values), axis=0)
    tried[:, :, place] = values[:, None]
    said = forest.predict(tried.reshape(-1, points.shape[1])).reshape(len(values), len(points))
    return float(np.var(said.mean(axis=1)))


def _evenly(axis: StudiedDimension, random: np.random.Generator) -> Floats:
    if axis.names:
        return random.integers(0, len(axis.names), POINTS).astype(np.float64)
    return random.uniform(axis.low, axis.high, POINTS)


def _in_order(name: str) -> tuple[int, float, str]:
    """Numbers by size before words, `None` first."""
    try:
        return (1, float(name), name)
    except ValueError:
        return (0 if name == "None" else 2, 0.0, name)
