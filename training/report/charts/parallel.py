"""Parallel coordinates: each trial a line through its hyperparameters to its metric."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from training.report.charts.drawing import WIDE, round_ticks, span, svg, text, title
from training.report.hyperparameters import StudiedDimension
from training.report.wording import shown, value
from training.search.blend_candidate import each_in_words
from training.search.trial import Trial

HEIGHT, TOP, BOTTOM, SIDE = 320.0, 46.0, 18.0, 80.0


def parallel_coordinates(
    trials: Sequence[Trial], axes: Sequence[StudiedDimension], metric: str, called: str
) -> Markup:
    """The trials of one family, all of which have the metric; the better, the darker, and the best apart."""
    values = np.array([trial.metrics[metric] for trial in trials])
    places = np.linspace(SIDE, WIDE - SIDE, len(axes) + 1)
    metric_axis = StudiedDimension(called, log=False, names=(), low=span(values)[0], high=span(values)[1])
    parts: list[Markup] = []
    # The best is drawn last, on top.
    ranked = sorted(trials, key=lambda trial: (-trial.loss(metric), -trial.number))
    for rank, trial in enumerate(ranked, start=1):
        numbers = [axis.number(trial.candidate.params) for axis in axes] + [trial.metrics[metric]]
        ups = [_up(axis, number) for axis, number in zip([*axes, metric_axis], numbers, strict=True)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(places, ups, strict=True))
        params = "\n".join(each_in_words(trial.candidate.params, value))
        tip = f"trial {trial.number}: {called} {shown(trial.metrics[metric])}\n{params}"
        dashed = " dashed" if trial.status == "pruned" else ""
        style, weight = ("best", 1.0) if rank == len(ranked) else ("s1", 0.08 + 0.72 * (rank / len(ranked)) ** 2)
        parts.append(
            Markup('<path class="line {}" opacity="{:.2f}" d="M{}">{}</path>').format(
                f"{style}{dashed}", weight, path, title(tip)
            )
        )
    parts += [_axis(float(x), axis) for x, axis in zip(places, [*axes, metric_axis], strict=True)]
    best, reached = ranked[-1], shown(ranked[-1].metrics[metric])
    return svg(
        Markup("").join(parts),
        f"{len(trials)} trials in parallel coordinates. Best is {best.number}: {called} {reached}.",
        width=WIDE,
        height=HEIGHT,
    )


def _up(axis: StudiedDimension, number: float) -> float:
    aside = 0.5 if axis.names else 0.0  # names stand off the ends of their axis
    share = (number - axis.low + aside) / (axis.high - axis.low + 2 * aside)
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _axis(x: float, axis: StudiedDimension) -> Markup:
    words = axis.name.replace("_", " ").split()
    half = (len(words) + 1) // 2 if len(axis.name) > 14 else len(words)
    lines = [" ".join(words[:half]), " ".join(words[half:])]
    parts = [Markup('<path class="grid" d="M{:.1f} {:g}V{:g}"/>').format(x, TOP, HEIGHT - BOTTOM)]
    parts += [text(x, 14 + 13 * place, line, "axis middle") for place, line in enumerate(lines) if line]
    parts += [text(x - 5, _up(axis, number) + 4, label, "tick halo end") for number, label in _labels(axis)]
    return Markup("").join(parts)


def _labels(axis: StudiedDimension) -> list[tuple[float, str]]:
    if axis.names:
        return [(float(place), "none" if name == "None" else name) for place, name in enumerate(axis.names)]
    if axis.log:
        return [(number, _short(10**number)) for number in np.linspace(axis.low, axis.high, 5)]
    return round_ticks(axis.low, axis.high)


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"
