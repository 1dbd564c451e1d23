"""`python -m training.run --use-case NAME`: from gold tables to a registered challenger."""

from datetime import UTC, datetime

import click
import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from training import registry, report
from training.dataset import Split, TrainingFrame, load_frame, rolling_origin, split_by_time
from training.evaluation import evaluate
from training.feature_store.home import open_store
from training.progress import SearchProgress
from training.scoring import Scorer
from training.search.hyperopt import best, search
from training.search.trial import Candidate, Trial, fit, run_trial
from training.tracking import experiment_id, log_trial, tracking
from training.use_case import UseCase, load


def train(use_case: UseCase, settings: Settings) -> ModelVersion:
    """Every stage of training; the new version is the challenger."""
    data = read(use_case, settings)
    with tracking(settings) as client:
        experiment = experiment_id(client, settings, use_case.name)
        with mlflow.start_run(experiment_id=experiment) as run:
            mlflow.log_metrics({f"left_out.{table}": count for table, count in data.training.left_out.items()})
            trials = try_all(use_case, data.training, client, run)
            winner = best(trials, use_case.search.metric)
            scorer = refit(use_case, winner, data.training)
            version = register(use_case, scorer, winner, data, run)
            console.stage("Writing the report")
            page = report.render(use_case, trials, scorer, data, version)
            console.detail(str(report.publish(page, version, settings).relative_to(settings.project)))
    return version


def read(use_case: UseCase, settings: Settings) -> Split:
    """The point-in-time frame, split by time."""
    console.stage(f"Reading the features of {use_case.name} as of each label's time")
    frame = load_frame(use_case, open_store(settings), now=datetime.now(UTC))
    data = split_by_time(frame, use_case.split.holdout)
    sources = ", ".join(f"{table} v{version}" for table, version in sorted(frame.sources.items()))
    console.detail(f"{len(frame):,} rows x {frame.x.shape[1]} columns from {sources}")
    for table, count in frame.left_out.items():
        console.detail(f"{count:,} rows found nothing in {table} and are left out")
    for name, part in (("training", data.training), ("holdout", data.holdout)):
        span = f"{part.first:%Y-%m-%d} to {part.last:%Y-%m-%d}"
        console.detail(f"{name:<9}{len(part):>7,} rows  {span}  {part.y.mean():.1%} positive")
    return data


def try_all(use_case: UseCase, frame: TrainingFrame, client: MlflowClient, run: mlflow.ActiveRun) -> list[Trial]:
    """The search, each trial logged as it ends."""
    plan = use_case.search
    folds = list(rolling_origin(frame, use_case.split.folds))
    families = ", ".join(plan.families)
    console.stage(f"Searching {families} by {plan.method}: {plan.max_evals} trials on {len(folds)} folds")
    mlflow.log_params({"use_case": use_case.name, "method": plan.method, "seed": plan.seed, "metric": plan.metric})
    with SearchProgress(plan.metric, plan.max_evals) as progress:

        def run_one(number: int, candidate: Candidate) -> Trial:
            trial = run_trial(number, candidate, folds, plan.seed, use_case.serving.threshold)
            log_trial(client, run, trial)
            progress.add(trial)
            return trial

        return search(plan, run_one)


def refit(use_case: UseCase, winner: Trial, frame: TrainingFrame) -> Scorer:
    """The winner, fitted on all rows before the holdout."""
    console.stage(f"Refitting trial {winner.number} ({winner.candidate.family}) on all {len(frame):,} training rows")
    pipeline = fit(winner.candidate, frame, use_case.search.seed)
    return Scorer(pipeline, frame.encoder, use_case.serving.answering, use_case.hooks())


def register(use_case: UseCase, scorer: Scorer, winner: Trial, data: Split, run: mlflow.ActiveRun) -> ModelVersion:
    """The scorer as the new challenger, with what it scores on the holdout."""
    console.stage(f"Registering {use_case.name}")
    before = registry.newest_version(MlflowClient(), use_case.name)
    holdout = evaluate(data.holdout.y, scorer.probabilities(data.holdout.features), use_case.serving.threshold)
    mlflow.log_metrics(winner.metrics | {f"holdout_{name}": value for name, value in holdout.items()})
    mlflow.log_params({"family": winner.candidate.family, **winner.candidate.params})
    provenance = registry.provenance(data.training, data.holdout, before)
    version = registry.register(run, use_case, scorer, winner, provenance)
    console.detail(f"{use_case.name} version {version.version} is the challenger")
    console.detail(str(version.description))
    return version


@click.command()
@click.option("--use-case", "name", required=True, help="A file in training/use_cases, without its ending.")
def main(name: str) -> None:
    """Search, refit and register the best model of a use case."""
    train(load(name), Settings.from_environment())


if __name__ == "__main__":
    console.run_command(main)
