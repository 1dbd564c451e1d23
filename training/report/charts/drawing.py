"""Charts as inline SVG: axes and marks. The style sheet of the page colours them, for light and dark mode."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, inf, isfinite, log10
from typing import Protocol

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from lakehouse.arrays import Floats

Point = tuple[float, float]
PAGE_WIDTH, NARROW_WIDTH = 960.0, 380.0  # widths of full-width drawings, on a page and on a small screen
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 10.0, 38.0  # margins for the axes, in units of the viewBox
SHAPES = ("circle", "square", "diamond", "triangle", "cross")
COLOURS = ("s1", "s2", "s3", "s4", "s5", "s6")  # classes of page.css


@dataclass(frozen=True)
class Axis:
    """One axis of a chart, from `low` to `high`; `names` label the positions 0, 1, ...; ticks begin at `least`."""

    label: str
    low: float
    high: float
    log: bool = False
    names: tuple[str, ...] = ()
    least: float = -inf

    def share(self, value: float) -> float:
        """Position of a value on the axis, from 0 to 1."""
        low, high, at = (log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return (at - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        if self.names:
            return [(float(index), name) for index, name in enumerate(self.names)]
        if self.log:
            powers = range(int(np.ceil(log10(self.low) - 1e-9)), floor(log10(self.high) + 1e-9) + 1)
            return [(10.0**power, f"{10.0**power:g}") for power in powers]
        return [(value, label) for value, label in round_ticks(self.low, self.high) if value >= self.least]


@dataclass(frozen=True)
class Plane:
    """Maps values to positions on the drawing."""

    x: Axis
    y: Axis
    width: float
    height: float
    left: float

    def across(self, value: float) -> float:
        return self.left + self.x.share(value) * (self.width - self.left - RIGHT)

    def up(self, value: float) -> float:
        return self.height - BOTTOM - self.y.share(value) * (self.height - BOTTOM - TOP)

    def at(self, point: Point) -> str:
        return f"{self.across(point[0]):.1f} {self.up(point[1]):.1f}"


class Mark(Protocol):
    """A shape that is drawn on a plane; `style` is a class of the style sheet."""

    def draw(self, plane: Plane) -> Markup: ...


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: Sequence[Point]
    style: str

    def draw(self, plane: Plane) -> Markup:
        path = "L".join(plane.at(point) for point in self.points)
        return Markup('<path class="line {}" d="M{}"/>').format(self.style, path)


@dataclass(frozen=True)
class Area:
    """The area between two lines of equal x."""

    low: Sequence[Point]
    high: Sequence[Point]
    style: str

    def draw(self, plane: Plane) -> Markup:
        path = "L".join(plane.at(point) for point in [*self.low, *reversed(self.high)])
        return Markup('<path class="area {}" d="M{}Z"/>').format(self.style, path)


@dataclass(frozen=True)
class Dots:
    """Points, each with an optional tooltip."""

    points: Sequence[Point]
    style: str
    tips: Sequence[str] = ()
    shape: str = SHAPES[0]
    size: float = 3.5

    def draw(self, plane: Plane) -> Markup:
        tips = self.tips or [""] * len(self.points)
        drawn = [
            dot((plane.across(x), plane.up(y)), self.shape, self.size, self.style, tip)
            for (x, y), tip in zip(self.points, tips, strict=True)
        ]
        return Markup("").join(drawn)


@dataclass(frozen=True)
class Bars:
    """Vertical bars from the bottom of the chart: (from, to, height)."""

    bars: Sequence[tuple[float, float, float]]
    style: str
    tips: Sequence[str]

    def draw(self, plane: Plane) -> Markup:
        foot = plane.up(plane.y.low)
        drawn = [
            Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">{}</rect>').format(
                self.style,
                plane.across(start),
                plane.up(high),
                plane.across(end) - plane.across(start),
                foot - plane.up(high),
                title(tip),
            )
            for (start, end, high), tip in zip(self.bars, self.tips, strict=True)
        ]
        return Markup("").join(drawn)


def vertical(x: float, plane_y: Axis, style: str) -> Line:
    """A line from the bottom to the top of the chart."""
    return Line([(x, plane_y.low), (x, plane_y.high)], style)


def chart(  # noqa: PLR0913  (inputs of a chart)
    x: Axis,
    y: Axis,
    marks: Iterable[Mark],
    described: str,
    *,
    width: float = 380,
    height: float = 270,
    left: float = LEFT,
) -> Markup:
    """Draw the marks on their axes; `described` is the text alternative."""
    plane = Plane(x, y, width, height, left)
    parts = [_grid(plane), *(mark.draw(plane) for mark in marks)]
    return svg(Markup("").join(parts), described, width=width, height=height)


def svg(drawn: Markup, described: str, *, width: float, height: float) -> Markup:
    """Wrap a drawing, with its text alternative."""
    return Markup('<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">{}</svg>').format(
        width, height, described, drawn
    )


def dot(at: Point, shape: str, size: float, style: str, tip: str = "") -> Markup:
    """One point at a position of the drawing; `shape` is one of `SHAPES`."""
    (x, y), r = at, size
    if shape == "circle":
        return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:g}">{}</circle>').format(
            style, x, y, r, title(tip)
        )
    outline = {
        "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
        "diamond": [(0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)],
        "triangle": [(0, -1.2 * r), (1.2 * r, r), (-1.2 * r, r)],
        "cross": [(-r, -r), (0, -r / 3), (r, -r), (r / 3, 0), (r, r), (0, r / 3), (-r, r), (-r / 3, 0)],
    }[shape]
    path = "L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in outline)
    return Markup('<path class="{}" d="M{}Z">{}</path>').format(style, path, title(tip))


def title(tip: str) -> Markup:
    """Tooltip of a mark."""
    return Markup("<title>{}</title>").format(tip) if tip else Markup("")


def text(x: float, y: float, words: str, style: str, *, turned: bool = False) -> Markup:
    """Text at a position."""
    turn = Markup(' transform="rotate(-90 {:.1f} {:.1f})"').format(x, y) if turned else ""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}"{}>{}</text>').format(style, x, y, turn, escape(words))


def span(values: Iterable[float], margin: float = 0.06) -> tuple[float, float]:
    """Bounds of the finite values, with a relative margin."""
    finite = [value for value in values if isfinite(value)]
    low, high = min(finite), max(finite)
    padding = (high - low) * margin or abs(high) * margin or 1.0
    return low - padding, high + padding


def round_ticks(low: float, high: float, count: int = 5) -> list[tuple[float, str]]:
    """About `count` round numbers between the bounds, with their labels.

    >>> [label for _, label in round_ticks(0, 1)]
    ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
    """
    rough = (high - low) / count
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    decimals = max(0, -floor(log10(step) + 1e-9))
    first = int(np.ceil(low / step - 1e-9))
    values = [number * step for number in range(first, floor(high / step + 1e-9) + 1)]
    return [(value, f"{value:,.{decimals}f}") for value in values]


def downsampled(x: Floats, y: Floats, max_points: int = 160) -> list[Point]:
    """At most `max_points` points of a curve, evenly spaced along its length."""
    indices = evenly_spaced(x, y, max_points)
    return list(zip(x[indices].tolist(), y[indices].tolist(), strict=True))


def evenly_spaced(x: Floats, y: Floats, max_points: int) -> npt.NDArray[np.intp]:
    """Indices of at most `max_points` points, evenly spaced along the length of the curve."""
    if len(x) <= max_points:
        return np.arange(len(x))
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return np.unique(np.searchsorted(along, np.linspace(0, along[-1], max_points)).clip(0, len(x) - 1))


def _grid(plane: Plane) -> Markup:
    foot, top, right = plane.height - BOTTOM, TOP, plane.width - RIGHT
    parts = []
    for value, label in plane.y.ticks():
        height = plane.up(value)
        parts.append(Markup('<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>').format(plane.left, height, right))
        parts.append(text(plane.left - 6, height + 4, label, "tick end"))
    for value, label in plane.x.ticks():
        position = plane.across(value)
        parts.append(Markup('<path class="grid" d="M{:.1f} {:.1f}V{:.1f}"/>').format(position, foot, top))
        parts.append(text(position, foot + 15, label, "tick middle"))
    parts.append(text((plane.left + right) / 2, plane.height - 5, plane.x.label, "axis middle"))
    if plane.y.label:
        parts.append(text(11, (foot + top) / 2, plane.y.label, "axis middle", turned=True))
    return Markup("").join(parts)
