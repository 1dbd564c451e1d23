"""Holdout metrics of our search as declared by the use case, LightGBM with its defaults, and FLAML."""

from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import click
import lightgbm
import numpy as np

from benchmarks.search import FLAML, flaml
from lakehouse import console
from lakehouse.arrays import Floats
from lakehouse.settings import Settings
from training.evaluation.weighted_metrics import ScoredRows, metric_intervals
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.splits import Split, folds, training_split
from training.search.blending import BlendRefused, blend
from training.search.running import run_plan
from training.search.trial import Attempt, best
from training.stages.refit import refit
from training.use_case.use_case import UseCase, load

REPORTED = ("roc_auc", "average_precision", "log_loss")


@click.command()
@click.option("--use-case", "name", default="term_deposit", show_default=True)
def main(name: str) -> None:
    """Run our search first; FLAML gets the same time and cores. Only the folds select a model."""
    use_case = load(name)
    data = training_split(load_frame(use_case, open_store(Settings.from_environment())), use_case.split)
    rows, seconds = [], 0.0
    searches: dict[str, Callable[[], Floats]] = {
        "our search": lambda: _ours(use_case, data),
        "LightGBM, default": lambda: _default(data),
        FLAML: lambda: flaml(use_case, data, seconds, use_case.search.seed, use_case.search.parallelism)[1],
    }
    for search, run in searches.items():
        console.stage(search)
        begin = monotonic()
        predicted = run()
        took = monotonic() - begin
        seconds = seconds or took
        rows.append([search, f"{took:.0f} s", *_cells(data, predicted)])
    console.table(["search", "time", *REPORTED], rows)


def _ours(use_case: UseCase, data: Split) -> Floats:
    plan = use_case.search
    attempt = Attempt(
        list(folds(data.training, use_case.split, plan.seed)), plan.seed, use_case.response_format.threshold
    )
    trials = run_plan(plan, attempt, lambda _trial: None, Settings.from_environment()).trials
    with suppress(BlendRefused):
        trials = (*trials, blend(trials, attempt, plan.metric, plan.blend))
    winner = best(trials, plan.metric)
    return refit(use_case, winner, data.training).scorer.predict(data.holdout.features)


def _default(data: Split) -> Floats:
    """Predictions of a default LightGBM, with one 0/1 column per category."""
    model = lightgbm.LGBMClassifier(verbosity=-1).fit(data.training.x, data.training.y)
    return np.asarray(model.predict_proba(data.holdout.x))[:, 1]


def _cells(data: Split, predicted: Floats) -> list[str]:
    rows = ScoredRows(data.holdout.y, predicted, 0.5, data.holdout.dependence)
    return [str(interval) for interval in metric_intervals(REPORTED, [rows]).values()]


if __name__ == "__main__":
    console.run_command(main)
