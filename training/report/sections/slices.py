"""Where the version is good and where not: the search metric on each category of the small categorical inputs."""

from collections.abc import Iterator, Sequence

import numpy as np

from training.evaluation.bootstrap import Interval
from training.evaluation.weighted_metrics import ScoredRows, metric_intervals
from training.report.charts.sparklines import Scale, whisker
from training.report.evidence import Evidence
from training.report.input_values import Categories, categorical
from training.report.page import Block, Cell, Column, Table, Words, bounds_cell, drawn, number, words
from training.report.wording import VALIDATION, said, shown

FEWEST_ROWS, FEWEST_OF_A_LABEL = 200, 10


def blocks(evidence: Evidence) -> Sequence[Block]:
    """One table of all slices, the worst first, and the names of those too small to judge."""
    everything = evidence.validation
    overall = everything.metric(evidence.metric)
    judged, small = [], []
    for categories in _inputs(evidence):
        for name, rows in _slices(categories, everything):
            if len(rows) < FEWEST_ROWS or evidence.task.rarest(rows.labels) < FEWEST_OF_A_LABEL:
                small.append(f"{categories.column} {name} ({len(rows)})")
            else:
                found = metric_intervals([evidence.metric], [rows])[evidence.metric]
                judged.append((categories.column, name, rows, found))
    what = said(evidence.metric)
    if not judged and not small:
        return [Words("No input is a category, by which rows could be told apart.")]
    told: list[Block] = [
        Words(
            f"{what} on parts of the {VALIDATION}, all folds together, the worst first; all rows together reach "
            f"{shown(overall)} (the upright line). Many slices are looked at: some are low by chance, and an "
            "interval that holds the line is no finding."
        ),
        _table(evidence, judged, overall),
    ]
    if small:
        told.append(
            Words(
                f"Too small to judge (fewer than {FEWEST_ROWS} rows, or {FEWEST_OF_A_LABEL} of a label): "
                f"{', '.join(small)}."
            )
        )
    return told


def _inputs(evidence: Evidence) -> list[Categories]:
    frames = [tried.fold.validate.features for tried in evidence.tried]
    features = {name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]}
    return categorical(evidence.scorer.encoder, features)


def _slices(categories: Categories, everything: ScoredRows) -> Iterator[tuple[str, ScoredRows]]:
    for place, name in enumerate(categories.names):
        inside = categories.places == place
        if inside.any():
            yield name, everything.take(inside)


def _table(evidence: Evidence, judged: list[tuple[str, str, ScoredRows, Interval]], overall: float) -> Table:
    judged = sorted(judged, key=lambda slice: (-evidence.loss(slice[3].value), slice[0], slice[1]))
    scale = Scale.of([bound for *_, found in judged for bound in (found.low, found.high)])
    rows = [
        (
            words(column),
            words(name),
            number(len(part), ",d"),
            *_mean(evidence, part),
            number(found.value),
            bounds_cell(found),
            drawn(whisker(scale, found.low, found.value, found.high, overall), found.value),
        )
        for column, name, part, found in judged
    ]
    columns = (
        Column("Input", "words"),
        Column("Category", "words"),
        Column("Rows"),
        *([Column("Mean label")] if evidence.task.mean_label else []),
        Column(said(evidence.metric)),
        Column("95 % interval"),
        Column("Against all rows", "drawn"),
    )
    return Table(f"{said(evidence.metric)} by category, {VALIDATION}", columns, rows)


def _mean(evidence: Evidence, part: ScoredRows) -> list[Cell]:
    return [number(float(part.labels.mean()))] if evidence.task.mean_label else []
