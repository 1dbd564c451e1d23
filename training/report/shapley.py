"""What each input adds to single predictions: Shapley values (SHAP) of the whole pipeline, input by input.

A row's inputs replace those of a background row one after the other; what the prediction moves by is the input's, on
the mean over orders and background rows. Each order is also walked backwards: with that, the values are exact for
this background wherever no more than two inputs interact, so for every linear model. They always add up to what is
explained. Any model is taken as it is, with its scaling, calibration and members, and an input that became several
columns is one.

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
        values: (rows, inputs, outputs) what each input adds.
        base: (outputs,) the mean prediction over the background.
        explained: how many rows of the frame they are of; fewer than asked for where the time was up.
    """

    columns: tuple[str, ...]
    values: Floats
    base: Floats
    explained: int

    def mean_size(self) -> Mapping[str, float]:
        """The mean absolute value of each input, over rows and outputs."""
        sizes = np.abs(self.values).mean(axis=(0, 2))
        return dict(zip(self.columns, sizes.tolist(), strict=True))


def contributions(  # noqa: PLR0913  (each is a part of the question)
    model: Callable[[FeatureColumns], Floats],
    explained: FeatureColumns,
    background: FeatureColumns,
    groups: Groups,
    *,
    random: np.random.Generator,
    seconds: float,
) -> Contributions:
    """The Shapley values of the model at the rows of `explained`, against the rows of `background`.

    Args:
        model: (rows, outputs) from feature columns.
        explained: the rows to explain; taken a few at a time, in their order, until the time is up.
        background: the rows whose inputs stand for "not known".
        groups: the feature columns of each input.
        random: draws the orders.
        seconds: the time after which no further rows are begun.
    """
    end = monotonic() + seconds
    rows = len(next(iter(explained.values())))
    parts: list[Floats] = []
    done = 0
    while done < rows and (done == 0 or monotonic() < end):
        chunk = {name: values[done : done + ROWS_AT_ONCE] for name, values in explained.items()}
        parts.append(_walk(model, chunk, background, groups, random))
        done += len(parts[-1])
    return Contributions(tuple(groups), np.concatenate(parts), model(background).mean(axis=0), done)


def _walk(
    model: Callable[[FeatureColumns], Floats],
    explained: FeatureColumns,
    background: FeatureColumns,
    groups: Groups,
    random: np.random.Generator,
) -> Floats:
    rows, against, inputs = (len(next(iter(explained.values()))), len(next(iter(background.values()))), len(groups))
    forward = random.permuted(np.tile(np.arange(inputs), (rows * against, 1)), axis=1)
    # (walks, inputs): when each input is replaced; every order forwards and backwards.
    turn = np.concatenate([forward, inputs - 1 - forward])
    row = np.tile(np.repeat(np.arange(rows), against), 2)
    other = np.tile(np.tile(np.arange(against), rows), 2)
    steps = np.arange(inputs + 1)
    columns = {}
    for place, group in enumerate(groups.values()):
        replaced = turn[:, place, None] < steps[None, :]
        for name in group:
            mixed = np.where(replaced, explained[name][row][:, None], background[name][other][:, None])
            columns[name] = mixed.ravel()
    said = model(columns).reshape(len(turn), inputs + 1, -1)
    moved = np.diff(said, axis=1)
    by_input = np.take_along_axis(moved, turn[:, :, None], axis=1)
    return np.stack([by_input[row == number].mean(axis=0) for number in range(rows)])
