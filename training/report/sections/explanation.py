"""What the version goes by: permutation importance, and Shapley values of single predictions."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lakehouse.arrays import Floats
from scoring.encodings import FeatureColumns
from training.frame.raw_inputs import groups
from training.report.charts.beeswarm import beeswarm
from training.report.charts.sparklines import Scale, bar
from training.report.evidence import Evidence
from training.report.importance import ROUNDS, Importance, permutation_importance, sample
from training.report.input_values import reading
from training.report.page import Block, Column, Figure, LegendEntry, Table, Words, drawn, gained, number, words
from training.report.shapley import BACKGROUND, ROWS, Contributions, contributions
from training.report.wording import VALIDATION, said

SHUFFLING_SECONDS, EXPLAINING_SECONDS = 3.0, 4.0
SHOWN = 12


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Which inputs matter to the metric, and which move predictions, and how."""
    return (*_shuffled(evidence), *_explained(evidence))


def _shuffled(evidence: Evidence) -> tuple[Block, ...]:
    random = np.random.default_rng(evidence.seed)
    folds = [
        sample(tried.scorer.predicted, tried.fold.validate.features, tried.outcomes, random)
        for tried in evidence.tried
    ]
    found = permutation_importance(evidence.metric, folds, groups(evidence.scorer.encoder), random, SHUFFLING_SECONDS)
    told = Words(
        f"Permutation importance: by how much {said(evidence.metric)} gets worse when one input is shuffled among "
        f"the rows of a fold, with all columns that come of it; {found.rows:,} rows of the {VALIDATION}, "
        f"{_cut_short(found.rounds, ROUNDS)} rounds. An input whose information another one also has looks less "
        "important than it is; below zero, the model is better off without it in what came next."
    )
    return told, _losses(evidence, found)


def _losses(evidence: Evidence, found: Importance) -> Table:
    scale = Scale.of([bound for loss in found.losses for bound in (loss.low, loss.high, 0.0)])
    rows = [
        (
            words(loss.column),
            gained(loss.mean),
            drawn(bar(scale, loss.mean, loss.low, loss.high), loss.mean),
            gained(loss.low),
            gained(loss.high),
        )
        for loss in found.losses
    ]
    columns = (
        Column("Input", "words"),
        Column("Worse by"),
        Column(
            "Folds", "drawn", "The bar is the mean of the folds, the line goes from the least to the most of them."
        ),
        Column("Least of the folds"),
        Column("Most of the folds"),
    )
    return Table(f"Permutation importance for {said(evidence.metric)}, {VALIDATION}", columns, rows)


def _explained(evidence: Evidence) -> tuple[Block, ...]:
    random = np.random.default_rng(evidence.seed)
    newest, training = evidence.tried[-1].fold.validate, evidence.data.training
    # In no order of time: a cut by time would show the oldest alone.
    rows = random.permutation(len(newest))[:ROWS]
    against = np.sort(random.permutation(len(training))[:BACKGROUND])
    explained = _at(newest.features, rows)
    found = contributions(
        partial(_output, evidence),
        explained,
        _at(training.features, against),
        groups(evidence.scorer.encoder),
        random=random,
        seconds=EXPLAINING_SECONDS,
    )
    told = Words(
        f"Shapley values (SHAP): what each input adds to {evidence.task.unit} in single predictions of the "
        f"registered version, against {len(against)} rows drawn from all training rows. "
        f"{_cut_short(found.explained, len(rows))} rows are explained, drawn from the last validation fold, "
        f"{newest.first:%Y-%m-%d} to {newest.last:%Y-%m-%d}. They tell what the model does, not what causes what."
    )
    swarm = (
        () if found.values.shape[2] > 1 else (_swarm(found, _at(explained, np.arange(found.explained)), evidence),)
    )
    return told, *swarm, _sizes(found)


def _swarm(found: Contributions, explained: FeatureColumns, evidence: Evidence) -> Figure:
    sizes = found.mean_size()
    ordered = sorted(found.columns, key=lambda column: (-sizes[column], column))[:SHOWN]
    values = {column: found.values[:, found.columns.index(column), 0] for column in ordered}
    readings = {column: reading(column, evidence.scorer.encoder, explained) for column in ordered}
    return Figure(
        "What moves single predictions",
        beeswarm(values, readings, f"added to {evidence.task.unit}"),
        f"The {len(ordered)} inputs that add most. One point is one row; right of the dashed line, the input adds "
        "to the prediction.",
        (
            LegendEntry("low value", "low", "circle"),
            LegendEntry("high value", "high", "circle"),
            LegendEntry("category without order", "orderless", "circle"),
        ),
        wide=True,
    )


def _sizes(found: Contributions) -> Table:
    sizes = found.mean_size()
    means = dict(zip(found.columns, found.values.mean(axis=(0, 2)).tolist(), strict=True))
    scale = Scale.of([*sizes.values(), 0.0], start=0.0)
    rows = [
        (words(column), number(size), drawn(bar(scale, size), size), gained(means[column]))
        for column, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    ]
    columns = (Column("Input", "words"), Column("Mean size"), Column("Size", "drawn"), Column("Mean"))
    return Table("Shapley values: mean absolute value and mean of what was explained", columns, rows)


def _at(features: FeatureColumns, rows: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> FeatureColumns:
    return {name: values[rows] for name, values in features.items()}


def _output(evidence: Evidence, features: FeatureColumns) -> Floats:
    return evidence.task.explained(evidence.scorer.predicted(features))


def _cut_short(done: int, planned: int) -> str:
    return str(done) if done == planned else f"{done} (of {planned}: the time for more was up)"
