"""Schedules over a fit, by its share that is done: of the learning rate, and of dropout and weight decay."""

from math import cos, log2, pi

CYCLES = 4
LAST_CYCLE: float = 2 ** (CYCLES - 1) / (2**CYCLES - 1)  # share of a fit


def learning_rate(done: float) -> float:
    """A factor that rises and falls in four cycles, each twice as long as the one before; 0 at start and end.

    >>> [round(learning_rate(share), 3) for share in (0.0, 1 / 15, 0.7, 1.0)]
    [0.0, 0.0, 0.995, 0.0]
    """
    return 0.5 * (1 - cos(2 * pi * log2(1 + (2**CYCLES - 1) * done)))


def regularisation(done: float) -> float:
    """A factor that is 1 for the first half, and falls to 0 by a cosine.

    >>> [round(regularisation(share), 3) for share in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    return 1.0 if done <= 0.5 else 0.5 * (1 + cos(2 * pi * (done - 0.5)))
