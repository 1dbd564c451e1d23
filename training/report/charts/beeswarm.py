"""Beeswarm plot: one point per value in rows, stacked to avoid overlap."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from lakehouse.arrays import Floats
from training.report.charts.drawing import NARROW_WIDTH, PAGE_WIDTH, Axis, Plane, chart, dot, span, text
from training.report.input_values import Reading

ROW, LEFT = 30.0, 200.0
NARROW_ROW, NARROW_MARGIN = 48.0, 12.0  # the name stands above the points
NARROW_POINTS = 60  # of a row
SIZE, STEP = 2.8, 3.4  # radius of a point, and vertical distance of stacked points
SHADES = 5


class SwarmMark:
    """Points of each row around its centre line, shaded by level."""

    def __init__(self, values: Mapping[str, Floats], readings: Mapping[str, Reading], *, named: bool) -> None:
        self._values, self._readings, self._named = values, readings, named

    def draw(self, plane: Plane) -> Markup:
        zero = plane.across(0.0)
        parts = [Markup('<path class="reference" d="M{:.1f} 10V{:.1f}"/>').format(zero, plane.height - 38)]
        for index, (name, values) in enumerate(reversed(list(self._values.items()))):
            middle, texts = plane.up(index), self._readings[name]
            if self._named:
                parts.append(text(plane.left, middle - ROW / 2 - 2, name, "label"))
            styles = _styles(texts.levels, len(values))
            xs = np.array([plane.across(float(value)) for value in values])
            for row, offset in zip(np.argsort(xs, kind="stable"), _offsets(np.sort(xs, kind="stable")), strict=True):
                tip = f"{name} {texts.texts[row]}: {values[row]:+.3f}"
                parts.append(dot((float(xs[row]), middle + offset), "circle", SIZE, styles[row], tip))
        return Markup("").join(parts)


def beeswarm(
    values: Mapping[str, Floats], readings: Mapping[str, Reading], label: str, *, narrow: bool = False
) -> Markup:
    """Draw the rows from top to bottom, on one scale.

    Args:
        values: values of the points of each row.
        readings: input value of each point, which also sets its shade.
        label: title of the scale.
        narrow: True for a small screen, with names above the rows and the first `NARROW_POINTS` of each.
    """
    if narrow:
        values = {name: row[:NARROW_POINTS] for name, row in values.items()}
    low, high = span([0.0, *(float(value) for row in values.values() for value in row)])
    names = tuple(reversed(list(values)))
    height = (NARROW_ROW if narrow else ROW) * len(names) + 55
    spread = ", ".join(f"{name} {row.min():+.2f} to {row.max():+.2f}" for name, row in values.items())
    return chart(
        Axis(label, low, high),
        Axis("", -0.6, len(names) - 0.4, names=("",) * len(names) if narrow else names),
        [SwarmMark(values, readings, named=narrow)],
        f"Shapley values by input: {spread}.",
        width=NARROW_WIDTH if narrow else PAGE_WIDTH,
        height=height,
        left=NARROW_MARGIN if narrow else LEFT,
    )


def _offsets(ascending: Floats) -> list[float]:
    """Vertical offset of each point, so that few overlap."""
    offsets: list[float] = []
    lane_ends: list[float] = []
    max_lanes = int(ROW / STEP) - 1
    for x in ascending:
        free = next((lane for lane, end in enumerate(lane_ends) if x - end >= 2 * SIZE), None)
        if free is None:
            free = len(lane_ends) if len(lane_ends) < max_lanes else int(np.argmin(lane_ends))
            lane_ends += [0.0] * (free == len(lane_ends))
        lane_ends[free] = float(x)
        offsets.append((free + 1) // 2 * STEP * (-1 if free % 2 else 1))
    return offsets


def _styles(levels: Floats | None, count: int) -> list[str]:
    """Shade of each point: one of `SHADES` bins of its rank; a single shade without an order, or without a level."""
    distinct = np.unique(levels[~np.isnan(levels)]) if levels is not None else np.zeros(0)
    if levels is None or len(distinct) < 2:
        return ["orderless"] * count
    ranks = np.searchsorted(distinct, levels) / (len(distinct) - 1)
    return [
        "orderless" if np.isnan(level) else f"level{min(int(rank * SHADES), SHADES - 1)}"
        for level, rank in zip(levels, ranks, strict=True)
    ]
