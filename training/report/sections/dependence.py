"""Partial dependence of the main inputs: how the prediction moves with each, against the training distribution."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

import numpy as np

from lakehouse.arrays import Floats
from scoring.encodings import FeatureColumns
from scoring.predictions import values as values_of
from training.frame.raw_inputs import groups
from training.report.charts.drawing import COLOURS, Axis, Bars, Dots, Line, Mark, chart, span
from training.report.evidence import Evidence
from training.report.input_values import at_rows, input_values, reading
from training.report.page import Block, Figure, Figures, LegendEntry, Paragraph
from training.report.partial_dependence import ROWS, PartialDependence, partial_dependence
from training.report.wording import format_number

MAIN_INPUTS, SECONDS = 6, 4.0
MOST_CLASSES = len(COLOURS)
BARS_HEIGHT = 0.25  # of the chart, for the distribution
AXIS_CHARACTERS, MOST_NAME = 48, 12  # that fit below an axis, and of one category


def blocks(evidence: Evidence, ranked: Sequence[str]) -> Sequence[Block]:
    """One figure for each of the most important inputs, as far as the time goes."""
    random, training = np.random.default_rng(evidence.seed), evidence.data.training
    donors = training.features_at(random.permutation(len(training))[: 10 * ROWS])
    rows = at_rows(donors, np.arange(min(ROWS, len(training))))
    every, end = groups(evidence.scorer.encoder), monotonic() + SECONDS
    figures = list[Figure]()
    texts = {each.column for each in evidence.scorer.encoder.encodings if each.is_free_text}
    for column in [name for name in ranked if name not in texts][:MAIN_INPUTS]:  # one text for all rows means nothing
        if figures and monotonic() > end:
            break
        known = _known(column, evidence, donors)
        values = reading(column, evidence.scorer.encoder, known)
        curve = _legible(partial_dependence(partial(_predicted, evidence), rows, known, values, every[column]))
        if len(curve.texts) > 1:
            figures.append(_figure(evidence, column, curve))
    if not figures:
        return ()
    explanation = Paragraph(
        f"Partial dependence: the mean prediction of {len(next(iter(rows.values()))):,} random training rows if all "
        "had one value of the input, and their own other inputs. Bars show how many training rows are near it: where "
        "there are few, the curve is a guess. Of many categories the most frequent are drawn. It describes the "
        "model, not causes."
    )
    return explanation, Figures(figures)


def _predicted(evidence: Evidence, features: FeatureColumns) -> Floats:
    """Predictions without the bounds of forecasts."""
    predicted = evidence.scorer.predict(features)
    return predicted if evidence.task.predicts_classes else values_of(predicted)


def _known(column: str, evidence: Evidence, donors: FeatureColumns) -> FeatureColumns:
    """The donors without those whose number is missing, if others are left: an imputed number is no value of it."""
    values = input_values(column, evidence.scorer.encoder, donors)
    if values.names is not None or not values.is_known.any():
        return donors
    return at_rows(donors, np.flatnonzero(values.is_known))


def _figure(evidence: Evidence, column: str, curve: PartialDependence) -> Figure:
    names = [str(each) for each in evidence.use_case.classes]
    outputs = curve.means.shape[1]
    shown = min(outputs, MOST_CLASSES)
    x, positions = _axis(column, curve)
    low, high = span(curve.means[:, :shown].ravel().tolist())
    # The distribution has the foot of the chart, below the curves.
    foot = low - (high - low) * BARS_HEIGHT / (1 - BARS_HEIGHT)
    y = Axis("mean prediction", foot, high, least=low)
    marks: list[Mark] = [_distribution(x, positions, curve, y)]
    for output in range(shown):
        points = list(zip(positions, curve.means[:, output].tolist(), strict=True))
        of_class = f"{names[output]}, " if outputs > 1 else ""
        tips = [
            f"{column} {text}: {of_class}{format_number(mean)}"
            for text, (_, mean) in zip(curve.texts, points, strict=True)
        ]
        marks += [Line(points, COLOURS[output])] if curve.levels is not None else []
        marks.append(Dots(points, COLOURS[output], tips))
    legend = [LegendEntry(names[output], COLOURS[output]) for output in range(shown)] if outputs > 1 else []
    moved = float(np.ptp(curve.means, axis=0).max())
    caption = f"The mean prediction moves by up to {format_number(moved)}."
    hidden = f" {outputs - shown} further classes are not drawn." if outputs > shown else ""
    values = zip(curve.texts, curve.means[:, 0].tolist(), strict=True)
    described = (
        f"Partial dependence on {column}: {', '.join(f'{text} {format_number(mean)}' for text, mean in values)}."
    )
    return Figure(column, chart(x, y, marks, described, left=52), caption + hidden, legend)


def _axis(column: str, curve: PartialDependence) -> tuple[Axis, list[float]]:
    if curve.levels is None:
        most = AXIS_CHARACTERS // len(curve.texts)
        names = tuple(text if len(text) <= most else f"{text[: most - 1]}…" for text in curve.texts)
        return Axis(column, -0.5, len(names) - 0.5, names=names), [float(at) for at in range(len(names))]
    low, high = span(curve.levels.tolist(), 0.03)
    return Axis(column, low, high), curve.levels.tolist()


def _legible(curve: PartialDependence) -> PartialDependence:
    """The curve with as many categories as fit below the axis: the most frequent ones, in the order of the curve."""
    if curve.levels is not None:
        return curve
    longest = min(max(map(len, curve.texts)), MOST_NAME)
    most = max(2, AXIS_CHARACTERS // (longest + 1))
    kept = np.sort(np.argsort(-curve.shares, kind="stable")[:most])
    texts = tuple(curve.texts[index] for index in kept.tolist())
    return replace(curve, texts=texts, means=curve.means[kept], shares=curve.shares[kept])


def _distribution(x: Axis, positions: Sequence[float], curve: PartialDependence, y: Axis) -> Bars:
    at = np.asarray(positions)
    middles = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[max(x.low, 2 * at[0] - middles[0])], middles, [min(x.high, 2 * at[-1] - middles[-1])]])
    # Bars of unequal width hold equal areas for equal shares.
    density = curve.shares / np.diff(edges)
    heights = y.low + (y.high - y.low) * BARS_HEIGHT * 0.85 * density / density.max()
    bars = list(zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True))
    nearby = zip(curve.shares.tolist(), curve.texts, strict=True)
    tips = [f"{share:.1%} of the training rows are near {text}" for share, text in nearby]
    return Bars(bars, "s6 faint", tips)
