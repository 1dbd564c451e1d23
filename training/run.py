"""`python -m training.run --use-case NAME`: from gold tables to a registered challenger."""

from dataclasses import replace
from datetime import UTC, datetime

import click
import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from training import lineage, registry, report, searching
from training.compilation import compiled
from training.dataset import load_frame
from training.evaluation import METRICS, Floats, evaluate
from training.feature_store.home import open_store
from training.frame import TrainingFrame
from training.intervals import Interval, Rows, intervals
from training.provenance import provenance
from training.refitting import Refitted, refit
from training.search.loop import Found
from training.searching import resolved, stopped, try_all
from training.splitting import Split, split
from training.tracking import experiment_id, tracking
from training.tracking.searches import (
    ENDED,
    collect,
    finished_trials,
    identity,
    log_leaderboard,
    search_run,
    trial_log,
    unfinished,
)
from training.use_case import UseCase, load
from training.versions import newest_version


def train(
    use_case: UseCase, settings: Settings, resume: str | None = None, *, register_on_interrupt: bool = False
) -> ModelVersion:
    """Every stage of training; the new version is the challenger.

    Args:
        resume: the run of an interrupted search of the same, or `latest`.
        register_on_interrupt: whether Ctrl-C during the search registers the best model so far.
    """
    with tracking(settings) as client:
        experiment = experiment_id(client, settings, use_case.name)
        collect(client, settings)
        interrupted = unfinished(client, experiment, use_case.name, resume) if resume else None
        data = read(use_case, settings)
        use_case = resolved(use_case, data.training)
        with search_run(client, experiment, identity(use_case, data), interrupted) as run:
            lineage.log_inputs(use_case, open_store(settings), data)
            mlflow.log_metrics({f"left_out.{table}": count for table, count in data.training.left_out.items()})
            with trial_log(client, run, settings, use_case.search.seed) as log:
                found = try_all(use_case, data.training, log, settings, finished_trials(client, interrupted))
            log_leaderboard(client, run, found.trials, use_case.search.metric)
            mlflow.set_tag(ENDED, found.ended)
            if found.ended == "interrupted" and not (register_on_interrupt and found.tried):
                raise stopped(run)
            winner = found.best(use_case.search.metric)
            if (guessed := found.guessed(use_case.search.metric)) is not None:
                console.detail(f"guessing is no worse: {use_case.search.metric} {guessed:.4f}")
            refitted = refit(use_case, winner, data.training)
            version = register(use_case, refitted, found, data)
        # The run is over by then: the version stands, whatever becomes of its report.
        told = report.Run(use_case, found.trials, refitted.scorer, data, version, refitted.apart)
        write_report(told, client, settings)
    return version


def read(use_case: UseCase, settings: Settings) -> Split:
    """The point-in-time frame, cut into what is trained on and the holdout."""
    console.stage(f"Reading the features of {use_case.name} as of each label's time")
    frame = load_frame(use_case, open_store(settings), now=datetime.now(UTC))
    data = split(frame, use_case.split)
    sources = ", ".join(f"{table} v{version}" for table, version in sorted(frame.sources.items()))
    console.detail(f"{len(frame):,} rows x {frame.x.shape[1]} columns from {sources}")
    for table, count in frame.left_out.items():
        console.detail(f"{count:,} rows found nothing in {table} and are left out")
    for name, part in (("training", data.training), ("holdout", data.holdout)):
        span = f"{part.first:%Y-%m-%d} to {part.last:%Y-%m-%d}"
        console.detail(f"{name:<9}{len(part):>7,} rows  {span}  {part.outcome}")
    return data


def register(use_case: UseCase, refitted: Refitted, found: Found, data: Split) -> ModelVersion:
    """The refitted best of what was found as the new challenger, with what it scores on the holdout."""
    console.stage(f"Registering {use_case.name}")
    winner = found.best(use_case.search.metric)
    before = newest_version(MlflowClient(), use_case.name)
    compilation = compiled(refitted.scorer, data.holdout.features)
    console.detail(compilation.told())
    refitted = replace(refitted, scorer=compilation.within(refitted.scorer))
    scorer = refitted.scorer
    predicted, threshold = scorer.predicted(data.holdout.features), scorer.answering.threshold
    holdout = evaluate(use_case.task, data.holdout.y, predicted, threshold)
    on_holdout = {f"holdout_{name}": value for name, value in holdout.items()}
    mlflow.log_metrics({**winner.metrics, **on_holdout, **refitted.measured})
    mlflow.log_params({"family": winner.candidate.family, **winner.candidate.params})
    sure = certainty(use_case, data.holdout, predicted, threshold)
    source = provenance(data, use_case.split, before)
    version = registry.register(use_case, refitted, found, source, sure, **compilation.tags())
    console.detail(f"{use_case.name} version {version.version} is the challenger")
    console.detail(str(version.description))
    return version


def certainty(use_case: UseCase, holdout: TrainingFrame, predicted: Floats, threshold: float) -> dict[str, Interval]:
    """The metrics that the use case searches and promotes by, with their bounds."""
    names = dict.fromkeys((use_case.search.metric, use_case.promotion.metric))

    def metrics(rows: Rows) -> dict[str, float]:
        return {name: METRICS[name].function(holdout.y[rows], predicted[rows], threshold) for name in names}

    return intervals(metrics, len(holdout))


def write_report(run: report.Run, client: MlflowClient, settings: Settings) -> None:
    """The page of the run, here and in MLflow."""
    console.stage("Writing the report")
    published = report.write(run, client, settings)
    for part, reason in published.failures.items():
        console.detail(f"its part '{part}' failed: {reason}")
    console.detail(str(published.path.relative_to(settings.project)))
    console.detail(published.uri)


@click.command()
@click.option("--use-case", "name", required=True, help="A file in training/use_cases, without its ending.")
@searching.options
@click.option("--resume", metavar="RUN|latest", help="Go on with an interrupted search: its run, or the newest.")
@click.option("--register-on-interrupt", is_flag=True, help="Ctrl-C registers the best model so far.")
def main(name: str, resume: str | None, *, register_on_interrupt: bool, **said: object) -> None:
    """Search, refit and register the best model of a use case."""
    use_case = searching.overridden(load(name), said)
    train(use_case, Settings.from_environment(), resume, register_on_interrupt=register_on_interrupt)


if __name__ == "__main__":
    console.run_command(main)
