"""Performance by category: the search metric on each category of inputs with few categories."""

from collections.abc import Iterator, Sequence

import numpy as np

from scoring.encodings import RowCategories
from training.evaluation.bootstrap import Interval
from training.evaluation.weighted_metrics import ScoredRows, metric_intervals
from training.report.charts.sparklines import Scale, whisker
from training.report.evidence import Evidence
from training.report.input_values import categorical
from training.report.page import (
    Block,
    Cell,
    Column,
    Paragraph,
    Table,
    bounds_cell,
    drawing_cell,
    number_cell,
    text_cell,
)
from training.report.wording import VALIDATION, format_number, metric_name

MIN_ROWS, MIN_ROWS_PER_LABEL = 200, 10


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Table of all slices, worst first, and the list of slices that are too small."""
    everything = evidence.validation
    overall = everything.metric(evidence.metric)
    judged, small = [], []
    inputs, everything = _inputs(evidence)
    for categories in inputs:
        for name, rows in _slices(categories, everything):
            if len(rows) < MIN_ROWS or evidence.task.rarest(rows.labels) < MIN_ROWS_PER_LABEL:
                small.append(f"{categories.label} {name} ({len(rows)})")
            else:
                found = metric_intervals([evidence.metric], [rows])[evidence.metric]
                judged.append((categories.label, name, rows, found))
    if not judged and not small:
        return [Paragraph("No input has few enough categories to slice by.")]
    slice_blocks: list[Block] = []
    if judged:
        slice_blocks += [
            Paragraph(
                f"{metric_name(evidence.metric)} by category on the {VALIDATION}, all folds pooled, worst first. The "
                f"vertical line is the value on all rows, {format_number(overall)}. With many slices some are low by "
                "chance: an interval that contains the line is not evidence of a difference."
            ),
            _table(evidence, judged, overall),
        ]
    if small:
        slice_blocks.append(
            Paragraph(
                f"Too small to evaluate (fewer than {MIN_ROWS} rows, or {MIN_ROWS_PER_LABEL} of a label): "
                f"{', '.join(small)}."
            )
        )
    return slice_blocks


def _inputs(evidence: Evidence) -> tuple[list[RowCategories], ScoredRows]:
    """Inputs to slice by, with the rows that they describe: of features on Spark, a bounded sample of each fold."""
    frames = [result.fold.validate for result in evidence.fold_results]
    starts = np.cumsum([0, *map(len, frames)])
    drawn = [frame.drawn() for frame in frames]
    every = [frame.features_at(rows) for frame, rows in zip(frames, drawn, strict=True)]
    features = {name: np.concatenate([each[name] for each in every]) for name in every[0]}
    rows = np.concatenate([start + indices for start, indices in zip(starts, drawn, strict=False)])
    return categorical(evidence.scorer.encoder, features), evidence.validation.take(rows)


def _slices(categories: RowCategories, everything: ScoredRows) -> Iterator[tuple[str, ScoredRows]]:
    for index, name in enumerate(categories.names):
        inside = categories.indices == index
        if inside.any():
            yield name, everything.take(inside)


def _table(evidence: Evidence, judged: list[tuple[str, str, ScoredRows, Interval]], overall: float) -> Table:
    judged = sorted(judged, key=lambda each: (-evidence.loss(each[3].value), each[0], each[1]))
    scale = Scale.of([bound for *_, found in judged for bound in (found.low, found.high)])
    rows = [
        (
            text_cell(column),
            text_cell(name),
            number_cell(len(slice_rows), ",d"),
            *_mean(evidence, slice_rows),
            number_cell(found.value),
            bounds_cell(found),
            drawing_cell(whisker(scale, found.low, found.value, found.high, overall), found.value),
        )
        for column, name, slice_rows, found in judged
    ]
    columns = (
        Column("Input", "text"),
        Column("Category", "text"),
        Column("Rows"),
        *([Column("Mean label")] if evidence.task.has_mean_label else []),
        Column(metric_name(evidence.metric)),
        Column("95 % interval"),
        Column("Compared with all rows", "drawn"),
    )
    return Table(f"{metric_name(evidence.metric)} by category, {VALIDATION}", columns, rows)


def _mean(evidence: Evidence, rows: ScoredRows) -> list[Cell]:
    return [number_cell(float(rows.labels.mean()))] if evidence.task.has_mean_label else []
