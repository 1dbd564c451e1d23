"""Shapley values (SHAP): the contribution of each input to single predictions of the whole pipeline.

The inputs of a row replace those of a background row one after the other. The contribution of an input is the change
of the prediction at its replacement, averaged over orders and background rows. Each order is also walked backwards:
the values are then exact for this background if at most two inputs interact, so for every linear model. They always
sum to the difference between prediction and base. The model includes its scaling, calibration and blend members; all
columns of an input are replaced together.

Sources: Lundberg & Lee, A Unified Approach to Interpreting Model Predictions (2017); Strumbelj & Kononenko,
Explaining prediction models and individual predictions with feature contributions (2014); Mitchell et al., Sampling
Permutations for Shapley Value Estimation (2022), on antithetic orders.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

import numpy as np

from lakehouse.arrays import Floats
from scoring.encodings import FeatureColumns
from training.frame.raw_inputs import Groups

ROWS, BACKGROUND, ROWS_AT_ONCE = 150, 64, 4


@dataclass(frozen=True)
class Contributions:
    """Shapley values.

    Attributes:
        columns: the inputs.
        values: (rows, inputs, outputs) contributions.
        base: (outputs,) the mean prediction over the background.
        explained: number of explained rows; fewer than requested if the time limit was reached.
    """

    columns: tuple[str, ...]
    values: Floats
    base: Floats
    explained: int

    def mean_size(self) -> Mapping[str, float]:
        """Mean absolute contribution of each input, over rows and outputs."""
        sizes = np.abs(self.values).mean(axis=(0, 2))
        return dict(zip(self.columns, sizes.tolist(), strict=True))


def contributions(  # noqa: PLR0913  (all inputs of the algorithm)
    model: Callable[[FeatureColumns], Floats],
    explained: FeatureColumns,
    background: FeatureColumns,
    groups: Groups,
    *,
    random: np.random.Generator,
    seconds: float,
) -> Contributions:
    """Compute the Shapley values of the model at the rows of `explained`, against the rows of `background`.

    Args:
        model: computes (rows, outputs) from feature columns.
        explained: rows to explain, processed in order and a few at a time until the time limit.
        background: rows whose inputs stand for unknown values.
        groups: the feature columns of each input.
        random: draws the orders.
        seconds: time limit; no further rows are started after it.
    """
    end = monotonic() + seconds
    rows = len(next(iter(explained.values())))
    values: list[Floats] = []
    done = 0
    while done < rows and (done == 0 or monotonic() < end):
        chunk = {name: column[done : done + ROWS_AT_ONCE] for name, column in explained.items()}
        values.append(_walk(model, chunk, background, groups, random))
        done += len(values[-1])
    return Contributions(tuple(groups), np.concatenate(values), model(background).mean(axis=0), done)


def _walk(
    model: Callable[[FeatureColumns], Floats],
    explained: FeatureColumns,
    background: FeatureColumns,
    groups: Groups,
    random: np.random.Generator,
) -> Floats:
    rows, against, inputs = (len(next(iter(explained.values()))), len(next(iter(background.values()))), len(groups))
    forward = random.permuted(np.tile(np.arange(inputs), (rows * against, 1)), axis=1)
    # (walks, inputs): the step at which each input is replaced; every order forwards and backwards.
    step = np.concatenate([forward, inputs - 1 - forward])
    row = np.tile(np.repeat(np.arange(rows), against), 2)
    other = np.tile(np.tile(np.arange(against), rows), 2)
    steps = np.arange(inputs + 1)
    columns = {}
    for index, group in enumerate(groups.values()):
        replaced = step[:, index, None] < steps[None, :]
        for name in group:
            mixed = np.where(replaced, explained[name][row][:, None], background[name][other][:, None])
            columns[name] = mixed.ravel()
    predicted = model(columns).reshape(len(step), inputs + 1, -1)
    changes = np.diff(predicted, axis=1)
    by_input = np.take_along_axis(changes, step[:, :, None], axis=1)
    return np.stack([by_input[row == number].mean(axis=0) for number in range(rows)])
