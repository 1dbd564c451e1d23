"""The stage of training that searches: its options, what it says, and how it ends."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import click
import mlflow
from mlflow.entities import Run

from lakehouse import console
from lakehouse.settings import Settings
from training.frame import TrainingFrame
from training.inputs import groups
from training.progress import SearchProgress
from training.search.loop import Found
from training.search.methods import Engine, Method
from training.search.plan import ExecutorName, Search
from training.search.running import search
from training.search.trial import Attempt, Trial
from training.splitting import folds
from training.tracking.trials import TrialLog
from training.use_case import UseCase, with_search

OPTIONS = (
    click.option("--method", type=click.Choice(get_args(Method)), help="How the next trial is chosen."),
    click.option("--engine", type=click.Choice(get_args(Engine)), help="Who chooses it by random or tpe."),
    click.option("--families", metavar="NAME,...", help="The model families to search."),
    click.option("--max-evals", type=click.IntRange(1), help="How many trials; how many points a grid may have."),
    click.option("--max-minutes", type=click.FloatRange(0, min_open=True), help="After which the search ends."),
    click.option("--parallelism", type=click.IntRange(1), help="How many trials run at once."),
    click.option("--executor", type=click.Choice(get_args(ExecutorName)), help="Where trials run."),
    click.option("--seed", type=click.IntRange(0), help="What repeats a search."),
)
LOGGED = {"method", "engine", "families", "metric", "seed", "prune", "parallelism"}


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Everything of a use case's search that a command line may say otherwise."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def overridden(use_case: UseCase, said: Mapping[str, Any]) -> UseCase:
    """The use case with what the command line says in place of what its file says.

    Raises:
        UseCaseRefused: it cannot be.
    """
    changes = {name: value for name, value in said.items() if value is not None}
    if "families" in changes:
        changes["families"] = [name.strip() for name in changes["families"].split(",")]
    return with_search(use_case, changes) if changes else use_case


def resolved(use_case: UseCase, frame: TrainingFrame) -> UseCase:
    """The use case with every input by its name that its search may leave out.

    Raises:
        SpaceRefused: it names one that the tables do not have.
    """
    return use_case.model_copy(update={"search": use_case.search.on(list(groups(frame.encoder)))})


def try_all(
    use_case: UseCase, frame: TrainingFrame, log: TrialLog, settings: Settings, finished: Mapping[int, Trial]
) -> Found:
    """The search, each trial kept as it ends."""
    plan = use_case.search
    parts = list(folds(frame, use_case.split, plan.seed))
    attempt = Attempt(parts, plan.seed, use_case.answering.threshold)
    console.stage(f"Searching {', '.join(plan.families)} by {plan.method}: {_told(plan)} on {len(parts)} folds")
    mlflow.log_params({"use_case": use_case.name, **plan.model_dump(include=LOGGED)})
    if finished:
        console.detail(f"{len(finished)} trials of run {log.run_id} are taken over")
    with SearchProgress(plan.metric, _trials(plan), finished.values()) as progress:

        def record(trial: Trial) -> None:
            log.add(trial)
            progress.add(trial)
            if warning := log.warning():
                progress.say(warning)

        found = search(plan, attempt, record, settings, finished)
    console.detail(progress.standing())
    if found.ended == "out_of_time":
        console.detail(f"the search ends after its {plan.max_minutes:g} minutes")
    return found


def stopped(run: Run) -> KeyboardInterrupt:
    """Ctrl-C, after saying how to go on."""
    console.stage("The search was interrupted, and nothing is registered")
    console.detail(f"go on where it stopped: the same command with --resume {run.info.run_id}")
    return KeyboardInterrupt()


def _trials(plan: Search) -> int:
    space = plan.joint_space()
    return sum(map(space.size, space.families)) if plan.method == "grid" else plan.max_evals


def _told(plan: Search) -> str:
    trials = f"{_trials(plan):,} {'points' if plan.method == 'grid' else 'trials'}"
    at_once = f", {plan.parallelism} at once" if plan.parallelism > 1 else ""
    minutes = "" if plan.max_minutes is None else f", at most {plan.max_minutes:g} minutes"
    return f"{trials}{at_once}{minutes}"
