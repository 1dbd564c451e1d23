"""The top of the page: the headline, the labelled facts of the description, and key numbers."""

from datetime import timedelta

import numpy as np

from lakehouse.wording import format_dates
from training.models import FAMILIES
from training.registry.description import split_lines
from training.report.champion_outcomes import ChampionOutcomes
from training.report.evidence import Evidence
from training.report.page import Facts, Headline, Tile, Tiles
from training.report.wording import format_bounds, format_number, metric_name
from training.search.result import searched_trials

RANDOM_FOLDS_TRIALS = 2  # random folds have about twice the training rows of folds in order of time


def headline(evidence: Evidence) -> Headline:
    """Metric on the holdout, against the baseline and the champion."""
    family = FAMILIES[evidence.winner.candidate.family].capitalised_name
    holdout = evidence.holdout_metrics[evidence.metric]
    performance = (
        f"{family}, version {evidence.version}: {metric_name(evidence.metric)} {format_number(holdout.value)} "
        f"({format_bounds(holdout)}) on {len(evidence.holdout):,} holdout rows"
    )
    return Headline("; ".join((performance, *_against_baseline(evidence), *_against_champion(evidence))))


def facts(evidence: Evidence) -> Facts:
    """The description of the version."""
    return Facts(split_lines(evidence.description))


def tiles(evidence: Evidence) -> Tiles:
    """Metric on folds and holdout, gain over the champion, trials and training rows."""
    metric, name = evidence.metric, metric_name(evidence.metric)
    folds, holdout = evidence.fold_metrics[metric], evidence.holdout_metrics[metric]
    seconds = sum((trial.duration for trial in evidence.trials), timedelta()).total_seconds()
    trials = searched_trials(evidence.trials)
    stopped = sum(trial.status == "pruned" for trial in trials)
    failed = sum(not np.isfinite(trial.loss(metric)) for trial in trials) - stopped
    dates = format_dates(evidence.provenance.first, evidence.provenance.last)
    return Tiles(
        (
            Tile(f"{name}, mean of folds", format_number(folds.value), f"95 % interval: {format_bounds(folds)}"),
            Tile(f"{name}, holdout", format_number(holdout.value), f"95 % interval: {format_bounds(holdout)}"),
            *_random_folds(evidence),
            _gain_over_champion(evidence),
            Tile(
                "Trials",
                f"{len(trials)}",
                f"{stopped} stopped early, {failed} failed; {seconds:,.0f} s in total",
            ),
            Tile(
                "Training rows",
                f"{evidence.provenance.rows:,}",
                dates.replace("-", "\u2011"),  # a non-breaking hyphen: dates stay on one line
            ),
        )
    )


def _against_baseline(evidence: Evidence) -> list[str]:
    metric, comparisons = evidence.metric, []
    for rows, value, baseline in (
        ("folds", evidence.winner.metrics[metric], evidence.baseline_on_folds.get(metric)),
        ("holdout", evidence.holdout_metrics[metric].value, evidence.baseline_on_holdout[metric]),
    ):
        if baseline is not None:
            verb = "beats" if evidence.loss(value) < evidence.loss(baseline) else "does not beat"
            values = f"{format_number(value)} vs {format_number(baseline)}"
            comparisons.append(f"{verb} the baseline on the {rows} ({values})")
    return comparisons


def _against_champion(evidence: Evidence) -> list[str]:
    champion, gain = evidence.champion, evidence.champion_gains.get(evidence.metric)
    if champion is None or gain is None:
        return []
    comparison = "better" if gain.low > 0 else "not clearly better" if gain.value > 0 else "not better"
    values = f"{format_number(gain.value, '+')}, {format_bounds(gain, '+')}{_unfair(champion)}"
    return [f"{comparison} than champion version {champion.version} ({values})"]


def _random_folds(evidence: Evidence) -> list[Tile]:
    if not evidence.use_case.split.in_time:
        return []  # the folds are random already
    name = f"{metric_name(evidence.metric)}, random folds"
    if reason := evidence.too_slow(RANDOM_FOLDS_TRIALS):
        return [Tile(name, "-", reason)]
    return [Tile(name, format_number(evidence.random_folds_metric), "for comparison: a split that ignores time")]


def _gain_over_champion(evidence: Evidence) -> Tile:
    champion, gain = evidence.champion, evidence.champion_gains.get(evidence.metric)
    if champion is None or gain is None:
        return Tile(
            "Gain over champion",
            "-",
            "no champion yet" if champion is None else f"version {champion.version} cannot be compared",
        )
    return Tile(
        f"Gain over champion version {champion.version}",
        format_number(gain.value, "+"),
        f"95 % interval: {format_bounds(gain, '+')}, holdout{_unfair(champion)}",
    )


def _unfair(champion: ChampionOutcomes) -> str:
    return "; not a fair comparison" if champion.remark else ""
