"""How the version was found: every trial, how the search went, and which hyperparameters mattered."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import numpy as np

from lakehouse.console import number_of
from training.models import FAMILIES
from training.report.charts.drawing import SHAPES, WIDE, Axis, Dots, Line, Mark, chart, span
from training.report.charts.parallel import parallel_coordinates
from training.report.charts.sparklines import Scale, bar, strip
from training.report.evidence import Evidence
from training.report.hyperparameters import FEWEST_TRIALS, Shares, dimensions, judged, shares
from training.report.page import (
    Block,
    Cell,
    Column,
    Figure,
    Folded,
    LegendEntry,
    Table,
    Words,
    drawn,
    long,
    number,
    words,
)
from training.report.wording import said, shown, value
from training.search.blend_candidate import in_words
from training.search.trial import Trial

MOST_AXES = 7  # of parallel coordinates: the titles of more print over each other
STYLES = ("s1", "s2", "s3", "s4", "s5", "s6")


def blocks(evidence: Evidence) -> Sequence[Block]:
    """Leaderboard, history and hyperparameters."""
    plan = evidence.use_case.search
    searched = [trial for trial in evidence.trials if FAMILIES[trial.candidate.family].searched]
    ran = [trial for trial in searched if _finished(trial, evidence.metric)]
    stopped = sum(trial.status == "pruned" for trial in searched)
    seconds = sum(trial.duration.total_seconds() for trial in evidence.trials)
    method = "TPE" if plan.method == "tpe" else plan.method
    families = ", ".join(FAMILIES[name].title for name in plan.families)
    told = Words(
        f"{len(searched)} trials by {method} over {families}, seed {plan.seed}: "
        f"{len(ran)} came to their end, {stopped} were stopped early, {len(searched) - len(ran) - stopped} failed; "
        f"{seconds:,.0f} seconds of trials in all. All numbers are "
        "means of the validation folds; the holdout had no part in the search. Trial 0 guesses, and the last may be "
        "a blend of the best; the weights that a fold measures were chosen on the other folds."
    )
    return (told, _history(evidence), _leaderboard(evidence), *_mattered(evidence))


def _finished(trial: Trial, metric: str) -> bool:
    return bool(np.isfinite(trial.loss(metric)))


def _better(metric: str, one: Trial, other: Trial) -> Trial:
    return other if other.loss(metric) < one.loss(metric) else one


def _families(evidence: Evidence) -> list[str]:
    return sorted({trial.candidate.family for trial in evidence.trials})


def _history(evidence: Evidence) -> Figure:
    metric, called = evidence.metric, said(evidence.metric)
    ran = [trial for trial in evidence.trials if _finished(trial, metric)]
    best = list(accumulate(ran, partial(_better, metric)))
    numbers = [trial.number for trial in evidence.trials]
    x = Axis("trial", min(numbers) - 0.5, max(numbers) + 0.5)
    values = [trial.metrics[metric] for trial in ran]
    y = Axis(called, *span(values))
    steps = [
        point
        for trial, leader, after in zip(ran, best, [*ran[1:], None], strict=True)
        for point in (
            (float(trial.number), leader.metrics[metric]),
            (float(after.number) if after else x.high, leader.metrics[metric]),
        )
    ]
    marks: list[Mark] = [Line(steps, "ink")]
    keys = [LegendEntry("best so far", "ink")]
    for place, family in enumerate(_families(evidence)):
        mine = [trial for trial in ran if trial.candidate.family == family]
        style, shape = f"{STYLES[place % len(STYLES)]} soft", SHAPES[place % len(SHAPES)]
        title = FAMILIES[family].title
        tips = [f"trial {trial.number}, {title}: {called} {shown(trial.metrics[metric])}" for trial in mine]
        marks.append(Dots([(float(trial.number), trial.metrics[metric]) for trial in mine], style, tips, shape, 4))
        keys.append(LegendEntry(title, style, shape))
    drawing = chart(
        x,
        y,
        marks,
        f"{called} of {len(ran)} trials; the best reaches {shown(evidence.winner.metrics[metric])}.",
        width=WIDE,
        height=280,
        left=52,
    )
    return Figure(
        "Trials in the order they ran", drawing, "Each point is the mean of a trial's folds.", keys, wide=True
    )


def _leaderboard(evidence: Evidence) -> Table:
    metric = evidence.metric
    ranked = sorted(evidence.trials, key=lambda trial: (trial.loss(metric), trial.number))
    scale = Scale.of([fold[metric] for trial in ranked if _finished(trial, metric) for fold in trial.per_fold])
    rows = [_line(evidence, trial, scale) for trial in ranked]
    columns = (
        Column("Rank"),
        Column("Trial"),
        Column("Family", "words"),
        Column(said(metric), about="Mean of the folds"),
        Column("Each fold", "drawn", "One point a fold, all trials on one scale; the upright line is the mean."),
        Column("Spread", about="Standard deviation over the folds"),
        Column("Seconds"),
        Column("Status", "words"),
        Column("Hyperparameters", "prose"),
    )
    marked = frozenset(place for place, trial in enumerate(ranked) if trial.number == evidence.winner.number)
    ranks = [(number(rank, "d"), *row) for rank, row in enumerate(rows, start=1)]
    return Table("Every trial, the best first; the winner is set apart", columns, ranks, marked)


def _line(evidence: Evidence, trial: Trial, scale: Scale) -> tuple[Cell, ...]:
    metric = evidence.metric
    params = in_words(trial.candidate, value)
    told = (number(trial.number, "d"), words(FAMILIES[trial.candidate.family].title))
    about = (number(trial.duration.total_seconds(), ".2f"), words(trial.status), long(f"{params}{_error(trial)}"))
    nothing = number(float("nan"))
    folds = [fold[metric] for fold in trial.per_fold]
    if not _finished(trial, metric):
        # One that was stopped early has the folds that it was tried on.
        return (
            *told,
            nothing,
            drawn(strip(scale, folds), float(np.mean(folds))) if folds else nothing,
            nothing,
            *about,
        )
    return (
        *told,
        number(trial.metrics[metric]),
        drawn(strip(scale, folds), trial.metrics[metric]),
        number(float(np.std(folds))),
        *about,
    )


def _error(trial: Trial) -> str:
    return f" ({trial.error})" if trial.error else ""


def _mattered(evidence: Evidence) -> list[Block]:
    blocks: list[Block] = []
    families = sorted(_families(evidence), key=lambda family: (family != evidence.winner.candidate.family, family))
    trials = judged(evidence.trials, evidence.metric)
    for family in families:
        mine = [trial for trial in trials if trial.candidate.family == family]
        found = shares(mine, evidence.metric, evidence.seed)
        if found is None:
            continue
        inside = (*_shares(found, evidence), _parallel(evidence, mine, found))
        blocks += inside if family == evidence.winner.candidate.family else [Folded(FAMILIES[family].heading, inside)]
    if not blocks:
        blocks.append(
            Words(f"Which hyperparameters mattered cannot be told: no family has {FEWEST_TRIALS} trials that differ.")
        )
    return blocks


def _shares(found: Shares, evidence: Evidence) -> tuple[Block, ...]:
    title = FAMILIES[found.family].title
    called = said(evidence.metric)
    doubt = (
        ""
        if found.fit > 0.3
        else " The forest predicts trials it has not seen badly, so take these shares for a hint at most."
    )
    rows = [
        (words(name.replace("_", " ")), number(share, ".1%"), drawn(bar(Scale(0.0, 1.0), share), share))
        for name, share in found.shares.items()
    ]
    rest = max(0.0, 1 - sum(found.shares.values()))
    return (
        Words(
            f"What mattered in {title}: the share of the differences in {called} that each hyperparameter explains "
            "alone, over the ranges that were tried (functional ANOVA of a random forest on "
            f"{found.trials} trials; R² on trials left out {found.fit:.2f}).{doubt} The remaining "
            f"{rest:.0%} is joint effects.{_of_stopped(found.stopped)}"
        ),
        Table(
            f"Importance of hyperparameters, {title}",
            (Column("Hyperparameter", "words"), Column("Explains alone"), Column("Share", "drawn")),
            rows,
        ),
    )


def _of_stopped(trials: int) -> str:
    if not trials:
        return ""
    return f" {trials} of the trials were stopped early, and are taken to end as far behind the median as they were."


def _parallel(evidence: Evidence, trials: list[Trial], found: Shares) -> Figure:
    title = FAMILIES[found.family].title
    most = list(found.shares)[:MOST_AXES]
    axes = [axis for axis in dimensions(trials) if axis.name in most]
    fewer = len(found.shares) - len(most)
    return Figure(
        f"Trials of {title} through their hyperparameters",
        parallel_coordinates(trials, axes, evidence.metric, said(evidence.metric)),
        "Each line is a trial; the better it is, the stronger its line, and the best is drawn in ink. A trial "
        "without a hyperparameter passes through the middle of its axis; dashed, it was stopped early."
        + (f" {number_of('hyperparameter', fewer)} of the smallest shares are not drawn." if fewer else ""),
        wide=True,
    )
