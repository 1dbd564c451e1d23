"""Series of windows with and without drift: 14 correlated numbers, and 6 categories of which one divides the rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats

NUMBERS, CATEGORIES, CORRELATION = 14, 6, 0.3
SHARES = (0.25, 0.35, 0.3, 0.1)  # of the values of each category
REFERENCE_ROWS, WINDOW_ROWS = 10_000, 1_000
WINDOWS, QUIET = 20, 10  # of a series; drift begins at window 10


@dataclass(frozen=True)
class Sample:
    """Rows of one window.

    Attributes:
        numbers: (rows, 14), standard normal without drift.
        categories: (rows, 6) integers; the first divides the rows into slices.
    """

    numbers: Floats
    categories: npt.NDArray[np.int64]


Drift = Callable[[Sample, int], None]  # changes a sample; the number counts windows since the drift began


def _sudden(sample: Sample, _since: int) -> None:
    sample.numbers[:, 0] += 0.2


def _gradual(sample: Sample, since: int) -> None:
    sample.numbers[:, 0] += 0.04 * (since + 1)


def _seasonal(sample: Sample, since: int) -> None:
    sample.numbers[:, :3] += 0.3 * np.sin(2 * np.pi * (since + 1) / 7)


def _one_slice(sample: Sample, _since: int) -> None:
    sample.numbers[sample.categories[:, 0] == 0, 0] += 0.4


def _none(_sample: Sample, _since: int) -> None:
    pass


DRIFTS: Mapping[str, Drift] = {
    "none": _none,
    "sudden: one input +0.2 sd": _sudden,
    "gradual: one input +0.04 sd a window": _gradual,
    "seasonal: three inputs, 0.3 sd over 7 windows": _seasonal,
    "one slice (25 %): one input +0.4 sd": _one_slice,
}


@dataclass(frozen=True)
class WindowSeries:
    """A reference and the windows after it."""

    reference: Sample
    windows: tuple[Sample, ...]

    @classmethod
    def drawn(cls, drift: Drift, seed: int) -> "WindowSeries":
        """A series whose drift begins at window `QUIET`."""
        draw = np.random.default_rng(seed)
        reference, windows = _sample(draw, REFERENCE_ROWS), []
        for number in range(WINDOWS):
            sample = _sample(draw, WINDOW_ROWS)
            if number >= QUIET:
                drift(sample, number - QUIET)
            windows.append(sample)
        return cls(reference, tuple(windows))


def _sample(draw: np.random.Generator, rows: int) -> Sample:
    common = draw.normal(size=(rows, 1))
    numbers = np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * draw.normal(size=(rows, NUMBERS))
    return Sample(numbers, draw.choice(len(SHARES), size=(rows, CATEGORIES), p=SHARES))
