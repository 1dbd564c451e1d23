"""Our searches against FLAML at equal wall time: trials per minute, best metric over time, and holdout metric."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic

import click
import numpy as np
from scipy import sparse, stats

from benchmarks.harness.measure import measure, tool
from lakehouse import console
from lakehouse.arrays import Floats
from lakehouse.settings import PROJECT, Settings
from training.evaluation.metrics import METRICS
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.splits import Split, folds, training_split
from training.models import FAMILIES
from training.search.fitting import fit
from training.search.running import run_plan
from training.search.trial import Attempt, Trial, best
from training.use_case.use_case import UseCase, load, with_search

OURS = {
    "grid": {"method": "grid"},
    "random": {"method": "random"},
    "TPE, our default": {"method": "tpe"},
    "TPE, not pruned": {"method": "tpe", "prune": False},
    "Optuna TPE": {"method": "tpe", "engine": "optuna"},
}
FLAML = "FLAML 2.7.0"
PACKAGES = ("--with", "flaml[automl]==2.7.0")
SHARES = (0.25, 0.5, 1.0)  # shares of the time at which the best metric is read
FORMATS = (".1f", *(".4f" for _ in SHARES), ".4f")  # trials per minute, then metrics
NO_LIMIT = 1_000_000_000
LIBRARIES = ("catboost", "hyperopt", "lightgbm", "optuna", "xgboost")


@dataclass(frozen=True)
class Run:
    """Result of one search.

    Attributes:
        trials: end of each trial, in seconds since the start, and its metric on the folds; NaN for a failed trial.
        holdout: metric of the best trial on the holdout, which is used once.
    """

    trials: Sequence[tuple[float, float]]
    holdout: float

    def best_by(self, seconds: float) -> float:
        """Best metric after a number of seconds; NaN if no trial has ended."""
        ended = [value for at, value in self.trials if at <= seconds and np.isfinite(value)]
        return max(ended, default=float("nan"))

    def cells(self, seconds: float) -> list[float]:
        ended = sum(at <= seconds for at, _ in self.trials)
        return [ended / seconds * 60, *(self.best_by(seconds * share) for share in SHARES), self.holdout]


@click.command()
@click.option("--use-case", "names", multiple=True, default=("term_deposit", "churn"), show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=60, show_default=True, help="Time of each search.")
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="Number of seeds; 5 for useful intervals."
)
def main(names: tuple[str, ...], seconds: float, seeds: int) -> None:
    """Search each use case with each method, one after the other on one core; the metric is ROC AUC."""
    rows = []
    for library in LIBRARIES:
        import_module(library)  # FLAML also imports them before its clock starts
    for name in names:
        use_case = load(name)
        data = training_split(load_frame(use_case, open_store(Settings.from_environment())), use_case.split)
        for search, run in _searches(use_case, data, seconds):
            console.stage(f"{name} by {search}: {seeds} x {seconds:g} s")
            cells = _mean_cells([run(seed).cells(seconds) for seed in range(seeds)])
            console.detail(", ".join(cells))
            rows.append([name, search, *cells])
    shares = [f"best after {share:.0%}" for share in SHARES]
    console.table(["use case", "search", "trials/min", *shares, "holdout"], rows)


def _searches(use_case: UseCase, data: Split, seconds: float) -> Iterator[tuple[str, Callable[[int], Run]]]:
    for name, overrides in OURS.items():
        yield name, lambda seed, overrides=overrides: _ours(use_case, data, seconds, {**overrides, "seed": seed})  # type: ignore[misc]
    yield FLAML, lambda seed: _flaml(use_case, data, seconds, seed)


def _ours(use_case: UseCase, data: Split, seconds: float, overrides: dict[str, object]) -> Run:
    on_one_core = {"parallelism": 1, "executor": "in_process", "blend": 0}  # no time is reserved for a blend
    plan = with_search(
        use_case, {**overrides, **on_one_core, "max_evals": NO_LIMIT, "max_minutes": seconds / 60}
    ).search
    attempt = Attempt(
        list(folds(data.training, use_case.split, plan.seed)), plan.seed, use_case.response_format.threshold
    )
    begin, ended, in_time = monotonic(), list[tuple[float, float]](), list[Trial]()

    def record(trial: Trial) -> None:
        ended.append((monotonic() - begin, trial.metrics.get(plan.metric, np.nan)))
        if ended[-1][0] <= seconds or not in_time:  # the clock does not stop the last trial, and it does not count
            in_time.append(trial)

    run_plan(plan, attempt, record, Settings.from_environment())
    chosen = best(in_time, plan.metric).candidate
    fitted = fit(chosen, data.training, plan.seed)
    predictions = use_case.task.predict(fitted, data.holdout.inputs(FAMILIES[chosen.family].matrix_format))
    return Run(ended, _metric(use_case, data, predictions))


def _flaml(use_case: UseCase, data: Split, seconds: float, seed: int) -> Run:
    trials, predicted = flaml(use_case, data, seconds, seed)
    return Run(trials, _metric(use_case, data, predicted))


def flaml(
    use_case: UseCase, data: Split, seconds: float, seed: int, jobs: int = 1
) -> tuple[list[tuple[float, float]], Floats]:
    """Trials of FLAML, each with end time and metric on the folds, and the holdout predictions of its best model."""
    with tempfile.TemporaryDirectory() as folder:
        sparse.save_npz(Path(folder) / "training.npz", data.training.x)
        sparse.save_npz(Path(folder) / "holdout.npz", data.holdout.x)
        np.save(Path(folder) / "labels.npy", data.training.y)
        command = [tool("uv"), "run", "--quiet", "--no-project", *PACKAGES, "python", "-W", "ignore"]
        script = str(PROJECT / "benchmarks" / "harness" / "flaml_search.py")
        arguments = [folder, str(seconds), str(use_case.split.folds), str(seed), str(jobs)]
        usage = measure([*command, script, *arguments], PROJECT, os.environ)
    result = json.loads(usage.output.splitlines()[-1])
    return [(at, value) for at, value in result["trials"]], np.asarray(result["holdout"])


def _metric(use_case: UseCase, data: Split, predicted: Floats) -> float:
    return METRICS[use_case.search.metric].function(data.holdout.y, predicted, use_case.response_format.threshold)


def _mean_cells(runs: list[list[float]]) -> list[str]:
    """Mean of each column over the seeds, with half the width of its 95 % interval for several seeds.

    A column is a dash if a seed had no trial by then, because the mean of the other seeds would be too good.
    """
    cells = []
    for number_format, column in zip(FORMATS, np.asarray(runs).T, strict=True):
        if not np.isfinite(column).all():
            cells.append("-")
        elif len(runs) == 1:
            cells.append(format(column[0], number_format))
        else:
            half = stats.t.ppf(0.975, len(runs) - 1) * column.std(ddof=1) / np.sqrt(len(runs))
            cells.append(f"{column.mean():{number_format}} ± {half:{number_format}}")
    return cells


if __name__ == "__main__":
    console.run_command(main)
