"""Charts over the windows of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite

from markupsafe import Markup

from deployment.monitoring.monitored_run import MonitoredRun
from training.report.charts.drawing import Axis, Dots, Line, Mark, Point, chart, dot, svg
from training.report.charts.sparklines import HEIGHT, WIDTH, Scale
from training.report.page import Figure, LegendEntry

STYLES, SHAPES = ("s1", "s2", "s3", "s4"), ("circle", "square", "diamond", "triangle")
MOST_TICKS = 4


@dataclass(frozen=True)
class Trend:
    """A number of each window; NaN where it has none."""

    name: str
    values: Sequence[float]

    def pieces(self) -> list[list[Point]]:
        """Runs of consecutive windows with a number."""
        points = [(float(number), value) for number, value in enumerate(self.values)]
        runs = groupby(points, key=lambda point: isfinite(point[1]))
        return [list(run) for finite, run in runs if finite]


def chart_of(run: MonitoredRun, title: str, label: str, trends: Sequence[Trend], *, from_zero: bool = True) -> Figure:
    """Lines over the windows, each with a shape of its own.

    Args:
        from_zero: False if the axis may start near the least value: zero would flatten a metric near its reference.
    """
    values = [value for trend in trends for value in trend.values if isfinite(value)] or [0.0, 1.0]
    low, high = min(0.0, *values), max(values)
    if not from_zero and low == 0.0 and min(values) > 0.5 * high:
        low = min(values) - 0.1 * (high - min(values) or high)
    y = Axis(label, low, high + 0.08 * (high - low or 1.0))
    x = _TimeAxis("window", -0.5, run.windows.count - 0.5, names=_names(run))
    marks: list[Mark] = []
    for trend, style, shape in zip(trends, STYLES, SHAPES, strict=False):
        pieces = trend.pieces()
        marks += [Line(piece, style) for piece in pieces if len(piece) > 1]
        points = [point for piece in pieces for point in piece]
        tips = [f"{trend.name}, {_moment(run, int(at))}: {value:.4g}" for at, value in points]
        marks.append(Dots(points, style, tips, shape))
    legend = [LegendEntry(t.name, style, shape) for t, style, shape in zip(trends, STYLES, SHAPES, strict=False)]
    return Figure(title, chart(x, y, marks, f"{title} by window"), "", legend if len(trends) > 1 else ())


def spark(values: Sequence[float], described: str) -> Markup:
    """A line as high as a line of text, from 0 to its largest value."""
    scale = Scale.of([float(number) for number in range(len(values))])
    finite = [value for value in values if isfinite(value)]
    high = max([*finite, 1e-9])

    def at(point: Point) -> Point:
        return scale.position(point[0]), HEIGHT - 3 - point[1] / high * (HEIGHT - 6)

    parts = []
    for piece in Trend("", values).pieces():
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(at, piece))
        parts.append(Markup('<path class="line s1" d="M{}"/>').format(path))
        parts.append(dot(at(piece[-1]), "circle", 2, "s1"))
    drawn = svg(Markup("").join(parts), described, width=WIDTH, height=HEIGHT)
    return Markup('<span class="spark">{}</span>').format(drawn)


class _TimeAxis(Axis):
    """Positions 0, 1, ... of windows, of which few are labelled."""

    def ticks(self) -> list[tuple[float, str]]:
        return [(float(index), name) for index, name in enumerate(self.names) if name]


def _names(run: MonitoredRun) -> tuple[str, ...]:
    step = max(1, -(-run.windows.count // MOST_TICKS))
    return tuple(_moment(run, number) if number % step == 0 else "" for number in range(run.windows.count))


def _moment(run: MonitoredRun, number: int) -> str:
    start, seconds = run.start(number), run.windows.length.total_seconds()
    if seconds % 86_400 == 0:
        return f"{start:%m-%d}"
    return f"{start:%H:%M}" if seconds % 60 == 0 else f"{start:%H:%M:%S}"
