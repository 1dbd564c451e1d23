"""The search: history, leaderboard of trials, and importance of hyperparameters."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import numpy as np

from lakehouse.wording import number_of
from training.models import FAMILIES
from training.report.charts.drawing import (
    COLOURS,
    NARROW_WIDTH,
    PAGE_WIDTH,
    SHAPES,
    Axis,
    Dots,
    Line,
    Mark,
    chart,
    span,
)
from training.report.charts.parallel import parallel_coordinates
from training.report.charts.sparklines import Scale, bar, strip
from training.report.evidence import Evidence
from training.report.hyperparameters import (
    MIN_TRIALS,
    HyperparameterImportance,
    hyperparameter_importance,
    scored_trials,
    studied_dimensions,
)
from training.report.page import (
    Block,
    Cell,
    Collapsed,
    Column,
    Figure,
    LegendEntry,
    Paragraph,
    Table,
    drawing_cell,
    number_cell,
    prose_cell,
    text_cell,
)
from training.report.wording import format_number, format_value, metric_name
from training.search.ensemble_candidates import format_candidate
from training.search.result import searched_trials
from training.search.trial import Trial

MAX_AXES = 7  # of parallel coordinates: the titles of more axes overlap


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Summary, history, leaderboard and hyperparameter importance."""
    plan = evidence.use_case.search
    searched = searched_trials(evidence.trials)
    finished = [trial for trial in searched if _finished(trial, evidence.metric)]
    stopped = sum(trial.status == "pruned" for trial in searched)
    seconds = sum(trial.duration.total_seconds() for trial in evidence.trials)
    method = "TPE" if plan.method == "tpe" else plan.method
    families = ", ".join(FAMILIES[name].display_name for name in plan.families)
    summary = Paragraph(
        f"{len(searched)} trials by {method} over {families}, seed {plan.seed}: {len(finished)} finished, "
        f"{stopped} stopped early, {len(searched) - len(finished) - stopped} failed; {seconds:,.0f} s of trial time. "
        "All metrics are means of the validation folds; the search does not use the holdout. Trial 0 is "
        "the baseline. The last trials may be stacks on the best of each family, and a blend of the best; each fold "
        "measures blend weights that were chosen on the other folds."
    )
    return (summary, _history(evidence), _leaderboard(evidence), *_importance(evidence))


def _finished(trial: Trial, metric: str) -> bool:
    return bool(np.isfinite(trial.loss(metric)))


def _better(metric: str, one: Trial, other: Trial) -> Trial:
    return other if other.loss(metric) < one.loss(metric) else one


def _families(evidence: Evidence) -> list[str]:
    return sorted({trial.candidate.family for trial in evidence.trials})


def _history(evidence: Evidence) -> Figure:
    metric, name = evidence.metric, metric_name(evidence.metric)
    finished = [trial for trial in evidence.trials if _finished(trial, metric)]
    best = list(accumulate(finished, partial(_better, metric)))
    numbers = [trial.number for trial in evidence.trials]
    x = Axis("trial", min(numbers) - 0.5, max(numbers) + 0.5)
    values = [trial.metrics[metric] for trial in finished]
    y = Axis(name, *span(values))
    steps = [
        point
        for trial, leader, after in zip(finished, best, [*finished[1:], None], strict=True)
        for point in (
            (float(trial.number), leader.metrics[metric]),
            (float(after.number) if after else x.high, leader.metrics[metric]),
        )
    ]
    marks: list[Mark] = [Line(steps, "ink")]
    legend = [LegendEntry("best so far", "ink")]
    for index, family in enumerate(_families(evidence)):
        trials = [trial for trial in finished if trial.candidate.family == family]
        style, shape = f"{COLOURS[index % len(COLOURS)]} soft", SHAPES[index % len(SHAPES)]
        title = FAMILIES[family].display_name
        tips = [f"trial {trial.number}, {title}: {name} {format_number(trial.metrics[metric])}" for trial in trials]
        marks.append(Dots([(float(trial.number), trial.metrics[metric]) for trial in trials], style, tips, shape, 4))
        legend.append(LegendEntry(title, style, shape))
    described = (
        f"{name} of {len(finished)} trials; the best reaches {format_number(evidence.winner.metrics[metric])}."
    )
    drawing, narrow = (
        chart(x, y, marks, described, width=width, height=280, left=52) for width in (PAGE_WIDTH, NARROW_WIDTH)
    )
    caption = "Each point is the mean of the folds of one trial."
    return Figure("Trials in order", drawing, caption, legend, wide=True, narrow=narrow)


def _leaderboard(evidence: Evidence) -> Table:
    metric = evidence.metric
    ranked = sorted(evidence.trials, key=lambda trial: (trial.loss(metric), trial.number))
    scale = Scale.of([fold[metric] for trial in ranked if _finished(trial, metric) for fold in trial.per_fold])
    rows = [_row(evidence, trial, scale) for trial in ranked]
    columns = (
        Column("Rank"),
        Column("Trial"),
        Column("Family", "text"),
        Column(metric_name(metric), tooltip="Mean of the folds"),
        Column("Each fold", "drawn", "One point per fold, all trials on one scale. The vertical line is the mean."),
        Column("Spread", tooltip="Standard deviation over the folds"),
        Column("Seconds"),
        Column("Status", "text"),
        Column("Hyperparameters", "prose"),
    )
    marked = frozenset(index for index, trial in enumerate(ranked) if trial.number == evidence.winner.number)
    ranks = [(number_cell(rank, "d"), *row) for rank, row in enumerate(rows, start=1)]
    return Table("All trials, best first; the winner is highlighted", columns, ranks, marked)


def _row(evidence: Evidence, trial: Trial, scale: Scale) -> tuple[Cell, ...]:
    metric = evidence.metric
    params = format_candidate(trial.candidate, format_value)
    start = (number_cell(trial.number, "d"), text_cell(FAMILIES[trial.candidate.family].display_name))
    end = (
        number_cell(trial.duration.total_seconds(), ".2f"),
        text_cell(trial.status),
        prose_cell(f"{params}{_error(trial)}"),
    )
    empty = number_cell(float("nan"))
    folds = [fold[metric] for fold in trial.per_fold]
    if not _finished(trial, metric):
        # A trial that was stopped early has its first folds.
        return (
            *start,
            empty,
            drawing_cell(strip(scale, folds), float(np.mean(folds))) if folds else empty,
            empty,
            *end,
        )
    return (
        *start,
        number_cell(trial.metrics[metric]),
        drawing_cell(strip(scale, folds), trial.metrics[metric]),
        number_cell(float(np.std(folds))),
        *end,
    )


def _error(trial: Trial) -> str:
    return f" ({trial.error})" if trial.error else ""


def _importance(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = []
    families = sorted(_families(evidence), key=lambda family: (family != evidence.winner.candidate.family, family))
    trials = scored_trials(evidence.trials, evidence.metric)
    for family in families:
        family_trials = [trial for trial in trials if trial.candidate.family == family]
        found = hyperparameter_importance(family_trials, evidence.metric, evidence.seed)
        if found is None:
            continue
        of_family = (*_shares(found, evidence), _parallel(evidence, family_trials, found))
        is_winner = family == evidence.winner.candidate.family
        blocks += of_family if is_winner else [Collapsed(FAMILIES[family].capitalised_name, of_family)]
    if not blocks:
        blocks.append(
            Paragraph(f"No importance of hyperparameters: no family has {MIN_TRIALS} trials with different results.")
        )
    return blocks


def _shares(found: HyperparameterImportance, evidence: Evidence) -> tuple[Block, ...]:
    title = FAMILIES[found.family].display_name
    name = metric_name(evidence.metric)
    doubt = "" if found.fit > 0.3 else " The forest predicts unseen trials poorly, so these shares are only a hint."
    shares, joint = found.displayed()
    named = {name.replace("_", " "): share for name, share in shares.items()} | {"several together": joint}
    rows = [
        (text_cell(label), number_cell(share, ".1%"), drawing_cell(bar(Scale(0.0, 1.0), share), share))
        for label, share in named.items()
    ]
    return (
        Paragraph(
            f"Importance of hyperparameters of {title}: the share of the variance of {name} that each hyperparameter "
            f"explains alone over the tried ranges (functional ANOVA of a random forest on {found.trials} trials; "
            f"out-of-bag R² {found.fit:.2f}).{doubt} The rest is explained only by several together."
            f"{_stopped_early(found.stopped)}"
        ),
        Table(
            f"Importance of hyperparameters, {title}",
            (Column("Hyperparameter", "text"), Column("Variance explained"), Column("Share", "drawn")),
            rows,
        ),
    )


def _stopped_early(trials: int) -> str:
    if not trials:
        return ""
    return (
        f" The values of {number_of('trial', trials)} stopped early are estimated from their distance to the median."
    )


def _parallel(evidence: Evidence, trials: list[Trial], found: HyperparameterImportance) -> Figure:
    title = FAMILIES[found.family].display_name
    drawn = list(found.shares)[:MAX_AXES]
    axes = [axis for axis in studied_dimensions(trials) if axis.name in drawn]
    not_drawn = len(found.shares) - len(drawn)
    return Figure(
        f"Hyperparameters of the trials of {title}",
        parallel_coordinates(trials, axes, evidence.metric, metric_name(evidence.metric)),
        "Each line is a trial. Better trials have stronger lines; the best is highlighted. Dashed lines are "
        "trials that were stopped early. A trial without a hyperparameter passes through the middle of its axis."
        + (f" The {number_of('hyperparameter', not_drawn)} of least importance are not drawn." if not_drawn else ""),
        wide=True,
    )
