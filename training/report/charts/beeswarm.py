"""Many small values in rows, one point each, stacked where they are close."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from lakehouse.arrays import Floats
from training.report.charts.drawing import WIDE, Axis, Plane, chart, dot, span
from training.report.input_values import Reading

ROW, LEFT = 30.0, 200.0
SIZE, STEP = 2.8, 3.4  # of a point, and between two that stand above each other
SHADES = 5


class Swarm:
    """A mark: the points of each row around its middle, shaded by level."""

    def __init__(self, values: Mapping[str, Floats], readings: Mapping[str, Reading]) -> None:
        self._values, self._readings = values, readings

    def draw(self, plane: Plane) -> Markup:
        zero = plane.across(0.0)
        parts = [Markup('<path class="reference" d="M{:.1f} 10V{:.1f}"/>').format(zero, plane.height - 38)]
        for place, (name, values) in enumerate(reversed(list(self._values.items()))):
            middle, read = plane.up(place), self._readings[name]
            styles = _styles(read.levels, len(values))
            xs = np.array([plane.across(float(value)) for value in values])
            for row, aside in zip(np.argsort(xs, kind="stable"), _offsets(np.sort(xs, kind="stable")), strict=True):
                tip = f"{name} {read.texts[row]}: {values[row]:+.3f}"
                parts.append(dot((float(xs[row]), middle + aside), "circle", SIZE, styles[row], tip))
        return Markup("").join(parts)


def beeswarm(values: Mapping[str, Floats], readings: Mapping[str, Reading], label: str) -> Markup:
    """The rows from top to bottom, on one scale.

    Args:
        values: of each row's points.
        readings: what each point stands for, and is shaded by within its row.
        label: of the scale.
    """
    low, high = span([0.0, *(float(value) for row in values.values() for value in row)])
    names = tuple(reversed(list(values)))
    height = ROW * len(names) + 55
    spread = ", ".join(f"{name} {row.min():+.2f} to {row.max():+.2f}" for name, row in values.items())
    return chart(
        Axis(label, low, high),
        Axis("", -0.6, len(names) - 0.4, names=names),
        [Swarm(values, readings)],
        f"Shapley values by input: {spread}.",
        width=WIDE,
        height=height,
        left=LEFT,
    )


def _offsets(ascending: Floats) -> list[float]:
    """How far each point is moved up or down so that few lie on each other."""
    offsets: list[float] = []
    lane_ends: list[float] = []
    most = int(ROW / STEP) - 1
    for x in ascending:
        free = next((lane for lane, end in enumerate(lane_ends) if x - end >= 2 * SIZE), None)
        if free is None:
            free = len(lane_ends) if len(lane_ends) < most else int(np.argmin(lane_ends))
            lane_ends += [0.0] * (free == len(lane_ends))
        lane_ends[free] = float(x)
        offsets.append((free + 1) // 2 * STEP * (-1 if free % 2 else 1))
    return offsets


def _styles(levels: Floats | None, count: int) -> list[str]:
    """The shade of each point: its place among `SHADES` equal parts of the ranks; one for all without an order."""
    if levels is None or np.ptp(levels) == 0:
        return ["orderless"] * count
    distinct = np.unique(levels)
    ranks = np.searchsorted(distinct, levels) / (len(distinct) - 1)
    return [f"level{min(int(rank * SHADES), SHADES - 1)}" for rank in ranks]
