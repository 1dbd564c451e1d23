"""Families of forecasts side by side, on the rows of one use case: errors, coverage, and the time of a response."""

from dataclasses import replace

import click

from benchmarks.families.entry import median_microseconds
from lakehouse import console
from lakehouse.settings import Settings
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import within_bounds
from training.evaluation.weighted_metrics import ScoredRows, metric_intervals
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.splits import Split, folds, training_split
from training.models import FAMILIES
from training.models.extras import require_extras
from training.registry.compilation import compile_scorer
from training.search.running import run_plan
from training.search.trial import Attempt, Trial, best
from training.stages.refit import refit
from training.use_case.use_case import UseCase, load, with_search

HEADER = ["family", "MASE, folds", "MASE, holdout", "within bounds", "p50, us", "form"]


@click.command()
@click.option("--use-case", "name", default="regional_revenue", show_default=True)
@click.option("--max-evals", default=5, show_default=True, help="Trials of each family.")
@click.option("--families", multiple=True, help="Only these families; repeatable.")
def main(name: str, max_evals: int, families: tuple[str, ...]) -> None:
    """Search each family that the use case can forecast with; the table needs the tables of the use case."""
    use_case = load(name)
    data = training_split(load_frame(use_case, open_store(Settings.from_environment())), use_case.split)
    searched, rows = families or _able(use_case), []
    require_extras(searched)
    for family in searched:
        console.stage(family)
        plan = {"families": [family], "max_evals": max_evals, "blend": 0, "parallelism": 1, "space": {}}
        rows.append(_row(family, with_search(use_case, plan), data))
    console.table(HEADER, rows)


def _able(use_case: UseCase) -> list[str]:
    """The families that the use case can forecast with: those whose features it declares."""
    declared = use_case.forecast
    fits, history = (declared.fits, declared.history) if declared else ((), None)
    return [
        family.name
        for family in FAMILIES.values()
        if use_case.task in family.tasks
        and family.searched
        and (not family.reads_fit or family.name in fits)
        and (not family.reads_history or history is not None)
    ]


def _row(family: str, use_case: UseCase, data: Split) -> list[str]:
    plan = use_case.search
    parts = list(folds(data.training, use_case.split, plan.seed))
    attempt = Attempt(parts, plan.seed, use_case.response_format.threshold)
    winner = best(run_plan(plan, attempt, lambda _trial: None, Settings.from_environment()).trials, plan.metric)
    scorer = refit(use_case, winner, data.training).scorer
    predicted = scorer.predict(data.holdout.features)
    holdout = ScoredRows(data.holdout.y, predicted, 0.5, data.holdout.dependence)
    compiled = compile_scorer(scorer, data.holdout.features).compiled
    served = replace(scorer, compiled=compiled)
    form = "fitted" if compiled is None else compiled.kind
    covered = within_bounds(data.holdout.y, predicted).mean()
    return [
        family,
        _shown(_of_folds(winner, attempt)),
        _shown(metric_intervals(["mase"], [holdout])["mase"]),
        f"{covered:.1%}",
        f"{median_microseconds(served, [use_case.golden_request]):.0f}",
        form,
    ]


def _of_folds(winner: Trial, attempt: Attempt) -> Interval:
    kept = winner.predictions_of(attempt.folds)
    if kept is None:
        raise ValueError("the best trial has no predictions of its folds")
    rows = [
        ScoredRows(fold.validate.y, predicted, attempt.threshold, fold.validate.dependence)
        for fold, predicted in zip(attempt.folds, kept, strict=True)
    ]
    return metric_intervals(["mase"], rows)["mase"]


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


if __name__ == "__main__":
    console.run_command(main)
