"""Mean rank and mean normalised score of systems over sets, with intervals of 95 % from a bootstrap over the sets."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from lakehouse.arrays import Floats

DRAWS = 2000
Losses = Mapping[str, Mapping[str, float]]  # by set and split, by system: less is better


def ranks(losses: Sequence[float]) -> Floats:
    """The rank of each loss, 1 for the least; equal losses share their mean rank.

    >>> ranks([0.3, 0.1, 0.3]).tolist()
    [2.5, 1.0, 2.5]
    """
    return np.asarray(rankdata(losses), dtype=np.float64)


def normalised(losses: Sequence[float]) -> Floats:
    """The score of each loss: 1 for the least, 0 for the largest; 1 for all if they are equal.

    >>> normalised([0.3, 0.1, 0.2]).round(2).tolist()
    [0.0, 1.0, 0.5]
    """
    values = np.asarray(losses, dtype=np.float64)
    span = values.max() - values.min()
    return np.ones_like(values) if span == 0 else (values.max() - values) / span


def summary(losses: Losses, systems: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Mean rank and mean normalised score of each system, over splits of a set first, then over the sets.

    Args:
        losses: keys are `set/split`; one without all systems is left out.
    """
    by_set: dict[str, list[Floats]] = {}
    for key, of_systems in losses.items():
        if all(system in of_systems for system in systems):
            values = [of_systems[system] for system in systems]
            by_set.setdefault(key.partition("/")[0], []).append(np.stack([ranks(values), normalised(values)]))
    if not by_set:
        return {}
    means = np.stack([np.mean(splits, axis=0) for splits in by_set.values()])  # (sets, 2, systems)
    draw = np.random.default_rng(0)
    resampled = means[draw.integers(len(means), size=(DRAWS, len(means)))].mean(axis=1)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    mean = means.mean(axis=0)
    return {
        system: (_cell(mean, low, high, 0, at), _cell(mean, low, high, 1, at)) for at, system in enumerate(systems)
    }


def _cell(mean: Floats, low: Floats, high: Floats, row: int, at: int) -> str:
    return f"{mean[row, at]:.2f} [{low[row, at]:.2f}, {high[row, at]:.2f}]"
