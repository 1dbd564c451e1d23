"""Small drawings for the cells of tables, as high as a line of text."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from markupsafe import Markup

from lakehouse.arrays import Floats
from training.report.charts.drawing import dot, span, svg, title

WIDTH, HEIGHT, EDGE = 130.0, 18.0, 5.0
MIDDLE = HEIGHT / 2


@dataclass(frozen=True)
class Scale:
    """A scale that the rows of a table share."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], *, start: float | None = None) -> "Scale":
        """A scale that contains the finite values; it begins at `start` if given."""
        finite = [value for value in values if isfinite(value)] or [0.0, 1.0]
        low, high = span(finite)
        return cls(low if start is None else start, high if start is None else max(high, start + 1e-12))

    def position(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return EDGE + min(1.0, max(0.0, share)) * (WIDTH - 2 * EDGE)


def whisker(scale: Scale, low: float, value: float, high: float, reference: float | None = None) -> Markup:
    """A value with its interval, and a vertical line at the reference value."""
    parts = [] if reference is None else [_vertical(scale.position(reference))]
    if isfinite(low) and isfinite(high):
        parts.append(
            Markup('<path class="line s1" d="M{:.1f} {:g}H{:.1f}"/>').format(
                scale.position(low), MIDDLE, scale.position(high)
            )
        )
    parts.append(dot((scale.position(value), MIDDLE), "circle", 3.5, "s1"))
    return _small(parts, f"{value:.4g}, from {low:.4g} to {high:.4g}")


def strip(scale: Scale, values: Sequence[float]) -> Markup:
    """One point per value, and a vertical line at the mean."""
    marks = [
        dot((scale.position(value), MIDDLE), "circle", 3, "s1 soft", f"fold {number}: {value:.4g}")
        for number, value in enumerate(values, start=1)
    ]
    mean = sum(values) / len(values)
    return _small([_vertical(scale.position(mean)), *marks], ", ".join(f"{value:.4g}" for value in values))


def bar(scale: Scale, value: float, low: float | None = None, high: float | None = None) -> Markup:
    """A bar from zero to the value, with a whisker from `low` to `high`."""
    start, end = sorted((scale.position(0.0), scale.position(value)))
    parts = [
        _vertical(scale.position(0.0)),
        Markup('<rect class="s1" x="{:.1f}" y="4" width="{:.1f}" height="{:g}"/>').format(
            start, end - start, HEIGHT - 8
        ),
    ]
    if low is not None and high is not None:
        parts.append(
            Markup('<path class="line ink" d="M{:.1f} {:g}H{:.1f}"/>').format(
                scale.position(low), MIDDLE, scale.position(high)
            )
        )
    return _small(parts, f"{value:.4g}")


def histogram(names: Sequence[str], bars: Floats, line: Floats) -> Markup:
    """Shares as bars, and those of other rows as a stepped line over them; each bar has its numbers."""
    width = (WIDTH - 2 * EDGE) / len(names)
    highest = max(float(bars.max()), float(line.max()), 1e-12)
    foot, tall = HEIGHT - 1, HEIGHT - 3
    drawn, hovered, steps = list[Markup](), list[Markup](), list[str]()
    for index, (name, share, other) in enumerate(zip(names, bars.tolist(), line.tolist(), strict=True)):
        start, height = EDGE + index * width, tall * share / highest
        tip = f"{name}: training {share:.1%}, holdout {other:.1%}"
        drawn.append(
            Markup('<rect class="s1 soft" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                start, foot - height, max(width - 0.6, 0.6), height
            )
        )
        # The whole height answers to the pointer, also where the bar is low.
        hovered.append(
            Markup('<rect class="hover" x="{:.1f}" y="0" width="{:.1f}" height="{:g}">{}</rect>').format(
                start, width, HEIGHT, title(tip)
            )
        )
        top = foot - tall * other / highest
        steps.append(f"{start:.1f} {top:.1f}H{start + width:.1f}")
    outline = Markup('<path class="line s2 outline" d="M{}"/>').format("L".join(steps))
    return _small([*drawn, outline, *hovered], f"shares of {len(names)} bars, highest {highest:.1%}")


def _vertical(x: float) -> Markup:
    return Markup('<path class="line reference" d="M{:.1f} 1V{:g}"/>').format(x, HEIGHT - 1)


def _small(parts: Sequence[Markup], described: str) -> Markup:
    return Markup('<span class="spark">{}</span>').format(
        svg(Markup("").join(parts), described, width=WIDTH, height=HEIGHT)
    )
