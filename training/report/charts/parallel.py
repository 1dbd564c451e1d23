"""Parallel coordinates: each trial is a line through its hyperparameters to its metric."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from training.report.charts.drawing import PAGE_WIDTH, round_ticks, span, svg, text, title
from training.report.hyperparameters import StudiedDimension
from training.report.wording import format_number, format_value
from training.search.ensemble_candidates import format_params
from training.search.trial import Trial

HEIGHT, TOP, BOTTOM, SIDE = 320.0, 46.0, 18.0, 80.0


def parallel_coordinates(trials: Sequence[Trial], axes: Sequence[StudiedDimension], metric: str, name: str) -> Markup:
    """Draw the trials of one family that have the metric; better trials are stronger, the best is highlighted."""
    values = np.array([trial.metrics[metric] for trial in trials])
    positions = np.linspace(SIDE, PAGE_WIDTH - SIDE, len(axes) + 1)
    metric_axis = StudiedDimension(name, log=False, names=(), low=span(values)[0], high=span(values)[1])
    parts: list[Markup] = []
    # The best is drawn last, on top.
    ranked = sorted(trials, key=lambda trial: (-trial.loss(metric), -trial.number))
    for rank, trial in enumerate(ranked, start=1):
        numbers = [axis.coordinate(trial.candidate.params) for axis in axes] + [trial.metrics[metric]]
        heights = [_height(axis, number) for axis, number in zip([*axes, metric_axis], numbers, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(positions, heights, strict=True))
        params = "\n".join(format_params(trial.candidate.params, format_value))
        tip = f"trial {trial.number}: {name} {format_number(trial.metrics[metric])}\n{params}"
        dashed = " dashed" if trial.status == "pruned" else ""
        style, weight = ("best", 1.0) if rank == len(ranked) else ("s1", 0.08 + 0.72 * (rank / len(ranked)) ** 2)
        parts.append(
            Markup('<path class="line {}" opacity="{:.2f}" d="M{}">{}</path>').format(
                f"{style}{dashed}", weight, path, title(tip)
            )
        )
    parts += [_axis(float(x), axis) for x, axis in zip(positions, [*axes, metric_axis], strict=True)]
    best, reached = ranked[-1], format_number(ranked[-1].metrics[metric])
    return svg(
        Markup("").join(parts),
        f"{len(trials)} trials in parallel coordinates. Best is {best.number}: {name} {reached}.",
        width=PAGE_WIDTH,
        height=HEIGHT,
    )


def _height(axis: StudiedDimension, number: float) -> float:
    padding = 0.5 if axis.names else 0.0  # keeps names away from the ends of their axis
    share = (number - axis.low + padding) / (axis.high - axis.low + 2 * padding)
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _axis(x: float, axis: StudiedDimension) -> Markup:
    words = axis.name.replace("_", " ").split()
    half = (len(words) + 1) // 2 if len(axis.name) > 14 else len(words)
    lines = [" ".join(words[:half]), " ".join(words[half:])]
    parts = [Markup('<path class="grid" d="M{:.1f} {:g}V{:g}"/>').format(x, TOP, HEIGHT - BOTTOM)]
    parts += [text(x, 14 + 13 * index, line, "axis middle") for index, line in enumerate(lines) if line]
    parts += [text(x - 5, _height(axis, number) + 4, label, "tick halo end") for number, label in _labels(axis)]
    return Markup("").join(parts)


def _labels(axis: StudiedDimension) -> list[tuple[float, str]]:
    if axis.names:
        return [(float(index), "none" if label == "None" else label) for index, label in enumerate(axis.names)]
    if axis.log:
        return [(number, _short(10**number)) for number in np.linspace(axis.low, axis.high, 5)]
    return round_ticks(axis.low, axis.high)


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"
