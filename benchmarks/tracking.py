"""Cost of tracking for a search: waiting time, and processor time of the logging thread."""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import mlflow
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from training.feature_store.home import open_store
from training.frame.build import load_frame
from training.frame.splits import folds, training_split
from training.search.running import run_plan
from training.search.trial import Attempt, Trial
from training.tracking import experiment_id, tracking
from training.tracking.searches import trial_log
from training.use_case.use_case import load, with_search

WRITER = "trials to MLflow"

Search = Callable[[Callable[[Trial], None]], object]


@click.command()
@click.option("--use-case", "name", default="term_deposit", show_default=True)
@click.option("--trials", type=click.IntRange(1), default=200, show_default=True)
def main(name: str, trials: int) -> None:
    """Run one search by TPE and log each trial to a new database."""
    use_case = with_search(load(name), {"max_evals": trials})
    settings = Settings.from_environment()
    data = training_split(load_frame(use_case, open_store(settings)), use_case.split)
    plan = use_case.search
    attempt = Attempt(
        list(folds(data.training, use_case.split, plan.seed)), plan.seed, use_case.response_format.threshold
    )
    with tempfile.TemporaryDirectory() as folder:
        isolated = replace(settings, project=Path(folder), tracking_uri=f"sqlite:///{folder}/mlflow.db")
        with tracking(isolated) as client:
            cells = _cost_cells(client, isolated, name, lambda record: run_plan(plan, attempt, record, settings))
    console.table(
        ["search", "trials", "total", "waited for the log", "waited at the end", "processor of the log", "share"],
        [[f"{name} by {plan.method}", str(trials), *cells]],
    )


def _cost_cells(client: MlflowClient, settings: Settings, name: str, search: Search) -> list[str]:
    waited, processor, begin = 0.0, 0.0, time.monotonic()
    with mlflow.start_run(experiment_id=experiment_id(client, settings, name)) as active:
        with trial_log(client, client.get_run(active.info.run_id), settings, 0) as log:
            (writer,) = (thread for thread in threading.enumerate() if thread.name == WRITER)
            clock = time.pthread_getcpuclockid(int(str(writer.ident)))

            def record(trial: Trial) -> None:
                nonlocal waited, processor
                before = time.monotonic()
                log.add(trial)
                waited += time.monotonic() - before
                processor = time.clock_gettime(clock)

            search(record)
            ended = time.monotonic()
        at_end = time.monotonic() - ended
    # All processor time of the writer counts, although it may have run on its own core.
    total, cost = ended - begin, waited + at_end + processor
    return [*(f"{seconds:.2f} s" for seconds in (total, waited, at_end, processor)), f"{cost / total:.1%}"]


if __name__ == "__main__":
    console.run_command(main)
