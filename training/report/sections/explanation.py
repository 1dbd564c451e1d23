"""Feature importance: permutation importance, partial dependence, and Shapley values of single predictions."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from lakehouse.arrays import Floats
from lakehouse.wording import format_dates
from scoring.encodings import FeatureColumns
from training.frame.raw_inputs import groups
from training.report.charts.beeswarm import beeswarm
from training.report.charts.sparklines import Scale, bar
from training.report.evidence import Evidence
from training.report.importance import ROUNDS, Importance, permutation_importance, sample
from training.report.input_values import at_rows, reading
from training.report.page import (
    Block,
    Column,
    Figure,
    LegendEntry,
    Paragraph,
    Table,
    drawing_cell,
    gain_cell,
    number_cell,
    text_cell,
)
from training.report.sections import dependence
from training.report.shapley import BACKGROUND, ROWS, Contributions, contributions
from training.report.wording import VALIDATION, metric_name

SHUFFLING_SECONDS, EXPLAINING_SECONDS = 3.0, 4.0
MAX_SWARM_INPUTS = 12


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Effect of the inputs on the metric and on single predictions."""
    contributed, shapley = _shapley(evidence)
    if reason := evidence.too_slow(1):
        sizes = contributed.mean_size()
        ranked = sorted(sizes, key=lambda column: (-sizes[column], column))
        permuted: Sequence[Block] = (Paragraph(f"Permutation importance. {reason}."),)
    else:
        found = _permutation(evidence)
        ranked = [each.column for each in found.inputs]
        permuted = _permutation_blocks(evidence, found)
    return (*permuted, *dependence.blocks(evidence, ranked), *shapley)


def _permutation(evidence: Evidence) -> Importance:
    random = np.random.default_rng(evidence.seed)
    folds = [
        sample(scorer.predict, result.fold.validate.features_at, result.outcomes, random)
        for scorer, result in zip(evidence.fold_scorers, evidence.fold_results, strict=True)
    ]
    inputs = groups(evidence.scorer.encoder)
    return permutation_importance(evidence.metric, folds, inputs, random, SHUFFLING_SECONDS)


def _permutation_blocks(evidence: Evidence, found: Importance) -> tuple[Block, ...]:
    explanation = Paragraph(
        f"Permutation importance: how much {metric_name(evidence.metric)} worsens if an input is shuffled in a fold; "
        f"{found.rows:,} rows of the {VALIDATION}, {_progress(found.rounds, ROUNDS)} rounds. Inputs that share "
        "information look less important than they are. A negative value means that the model "
        "validates better without the input."
    )
    return explanation, _importance_table(evidence, found)


def _importance_table(evidence: Evidence, found: Importance) -> Table:
    scale = Scale.of([bound for each in found.inputs for bound in (each.low, each.high, 0.0)])
    rows = [
        (
            text_cell(each.column),
            gain_cell(each.mean),
            drawing_cell(bar(scale, each.mean, each.low, each.high), each.mean),
            gain_cell(each.low),
            gain_cell(each.high),
        )
        for each in found.inputs
    ]
    columns = (
        Column("Input", "text"),
        Column("Importance"),
        Column("Folds", "drawn", "The bar is the mean of the folds, the line spans minimum to maximum."),
        Column("Minimum of folds"),
        Column("Maximum of folds"),
    )
    return Table(f"Permutation importance for {metric_name(evidence.metric)}, {VALIDATION}", columns, rows)


def _shapley(evidence: Evidence) -> tuple[Contributions, tuple[Block, ...]]:
    random = np.random.default_rng(evidence.seed)
    newest, training = evidence.fold_results[-1].fold.validate, evidence.data.training
    # In random order: the time limit would otherwise leave only the oldest rows.
    rows = random.permutation(len(newest))[:ROWS]
    background = np.sort(random.permutation(len(training))[:BACKGROUND])
    explained = newest.features_at(rows)
    found = contributions(
        partial(_output, evidence),
        explained,
        training.features_at(background),
        groups(evidence.scorer.encoder),
        random=random,
        seconds=EXPLAINING_SECONDS,
    )
    explanation = Paragraph(
        f"Shapley values (SHAP): the contribution of each input to {evidence.task.explained_value} in single "
        f"predictions of the registered version, relative to {len(background)} random training rows. "
        f"{_progress(found.explained, len(rows))} rows are explained, drawn from the last validation fold, "
        f"{format_dates(newest.first, newest.last)}. Shapley values describe the model, not causes."
    )
    drawn = at_rows(explained, np.arange(found.explained))
    swarm = () if found.values.shape[2] > 1 else (_swarm(found, drawn, evidence),)
    return found, (explanation, *swarm, _sizes(found))


def _swarm(found: Contributions, explained: FeatureColumns, evidence: Evidence) -> Figure:
    sizes = found.mean_size()
    ordered = sorted(found.columns, key=lambda column: (-sizes[column], column))[:MAX_SWARM_INPUTS]
    values = {column: found.values[:, found.columns.index(column), 0] for column in ordered}
    readings = {column: reading(column, evidence.scorer.encoder, explained) for column in ordered}
    label = f"contribution to {evidence.task.explained_value}"
    return Figure(
        "Contributions to single predictions",
        beeswarm(values, readings, label),
        f"The {len(ordered)} inputs with the largest contributions. One point is one row. Right of the dashed line, "
        "the input raises the prediction; left of it, it lowers the prediction.",
        (
            LegendEntry("low value", "low", "circle"),
            LegendEntry("high value", "high", "circle"),
            LegendEntry("unordered category", "orderless", "circle"),
        ),
        wide=True,
        narrow=beeswarm(values, readings, label, narrow=True),
    )


def _sizes(found: Contributions) -> Table:
    sizes = found.mean_size()
    means = dict(zip(found.columns, found.values.mean(axis=(0, 2)).tolist(), strict=True))
    scale = Scale.of([*sizes.values(), 0.0], start=0.0)
    rows = [
        (text_cell(column), number_cell(size), drawing_cell(bar(scale, size), size), gain_cell(means[column]))
        for column, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    ]
    columns = (Column("Input", "text"), Column("Mean absolute value"), Column("Size", "drawn"), Column("Mean value"))
    return Table("Shapley values over the explained rows", columns, rows)


def _output(evidence: Evidence, features: FeatureColumns) -> Floats:
    return evidence.task.explained(evidence.scorer.predict(features))


def _progress(done: int, planned: int) -> str:
    return str(done) if done == planned else f"{done} of {planned} (time limit)"
