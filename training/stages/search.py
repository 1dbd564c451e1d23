"""Stage 2: search the model families; the options of a search on the command line."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import nan
from typing import Any, get_args

import click
import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from training.feature_store.home import open_store
from training.frame import lineage
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import groups
from training.frame.splits import Split, folds
from training.models import FAMILIES
from training.search.blend_candidate import members
from training.search.blending import blend
from training.search.memory import require_room
from training.search.progress import SearchProgress
from training.search.result import SearchResult
from training.search.running import proposer_of, run_plan
from training.search.trial import BASELINE, Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.tracking import experiment_id
from training.tracking.searches import (
    STOP_REASON,
    collect,
    finished_trials,
    log_leaderboard,
    trial_log,
    unfinished,
)
from training.tracking.trials import TrialLog
from training.use_case.search import Engine, ExecutorName, Method, SearchPlan
from training.use_case.use_case import UseCase, with_search

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
LOGGED = {"method", "engine", "families", "metric", "seed", "parallelism"}


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
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
        SpaceRefused: it names one that the tables do not have, or the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
    """
    plan = use_case.search.on(list(groups(frame.encoder)))
    proposer_of(plan)  # what cannot be searched leaves no run behind that --resume would take for an interrupted one
    return use_case.model_copy(update={"search": plan})


def find_interrupted(
    use_case: UseCase, resume: str | None, client: MlflowClient, settings: Settings
) -> tuple[str, Run | None]:
    """The experiment of the use case, and the interrupted search to continue, if any.

    Trials that killed processes left unlogged are logged first.

    Args:
        resume: the run of an interrupted search, or `latest`; None starts a new search.

    Raises:
        NothingToResume: there is no such search.
    """
    experiment = experiment_id(client, settings, use_case.name)
    collect(client, settings)
    return experiment, unfinished(client, experiment, use_case.name, resume) if resume else None


def search(  # noqa: PLR0913, PLR0917  (a stage needs what the stages before it made)
    use_case: UseCase,
    data: Split,
    run: Run,
    interrupted: Run | None,
    client: MlflowClient,
    settings: Settings,
    *,
    register_on_interrupt: bool,
) -> SearchResult:
    """Search the use case's families and log every trial to the run.

    Args:
        interrupted: the search to continue, if any.
        register_on_interrupt: Ctrl-C ends the search with the best model so far.

    Raises:
        KeyboardInterrupt: Ctrl-C, without `register_on_interrupt` or before the first trial ended.
        RowsTooLarge: a family's dense rows would not fit into memory.
    """
    metric = use_case.search.metric
    lineage.log_inputs(use_case, open_store(settings), data)
    mlflow.log_metrics({f"left_out.{table}": count for table, count in data.training.left_out.items()})
    with trial_log(client, run, settings, use_case.search.seed) as log:
        result = try_all(use_case, data.training, log, settings, finished_trials(client, interrupted))
    log_leaderboard(client, run, result.trials, metric)
    mlflow.set_tag(STOP_REASON, result.stop_reason)
    if result.stop_reason == "interrupted" and not (register_on_interrupt and result.searched):
        raise KeyboardInterrupt(
            f"Nothing was registered. To continue, repeat the command with --resume {run.info.run_id}"
        )
    if (baseline := result.unbeaten_baseline(metric)) is not None:
        console.detail(f"no trial beats the baseline: {metric} {baseline:.4f}")
    return result


def try_all(
    use_case: UseCase, frame: TrainingFrame, log: TrialLog, settings: Settings, finished: Mapping[int, Trial]
) -> SearchResult:
    """The guess that every model must beat, the search, and a blend of its best; each trial kept as it ends.

    Raises:
        RowsTooLarge: a family's dense rows would not fit into memory.
    """
    plan = use_case.search
    parts = list(folds(frame, use_case.split, plan.seed))
    attempt = Attempt(parts, plan.seed, use_case.answering.threshold)
    cut = console.number_of("fold", len(parts))
    console.stage(f"Searching {', '.join(plan.families)} by {plan.method}: {_told(plan)} on {cut}")
    if told := require_room(plan, frame):
        console.detail(told)
    mlflow.log_params({"use_case": use_case.name, **plan.model_dump(include=LOGGED), "prune": plan.prunes})
    taken = {number: trial for number, trial in finished.items() if FAMILIES[trial.candidate.family].searched}
    if taken:
        console.detail(f"{console.number_of('trial', len(taken))} of run {log.run_id} taken over")
    guess = _guessed(attempt, log, finished)
    console.detail(f"guessing reaches {plan.metric} {guess.metrics.get(plan.metric, nan):.4f}")
    with SearchProgress(plan.metric, _trials(plan), taken.values()) as progress:

        def record(trial: Trial) -> None:
            log.add(trial)
            progress.add(trial)
            if warning := log.warning():
                progress.say(warning)

        found = run_plan(plan, attempt, record, settings, taken)
    console.detail(progress.standing())
    if found.stop_reason == "out_of_time":
        console.detail(f"the search ends after its {plan.max_minutes:g} minutes")
    return replace(found, trials=(guess, *found.trials, *_blended(found, attempt, plan, log, finished)))


def _guessed(attempt: Attempt, log: TrialLog, finished: Mapping[int, Trial]) -> Trial:
    if (before := finished.get(BASELINE)) is not None:
        return before
    guess = attempt(TrialSpec(BASELINE, Candidate("dummy", {})))
    log.add(guess)
    return guess


def _blended(
    found: SearchResult, attempt: Attempt, plan: SearchPlan, log: TrialLog, finished: Mapping[int, Trial]
) -> tuple[Trial, ...]:
    """The blend of the best, where the search came to its end and there is one."""
    if found.stop_reason != "complete" or not plan.blend:
        return ()
    trial = blend(found.trials, attempt, plan.metric, plan.blend)
    if trial is None:
        return ()
    before = finished.get(trial.number)
    if before is None or before.candidate != trial.candidate:
        log.add(trial)
    shown = " and ".join(sorted({member.family for _, member in members(trial.candidate)}))
    console.detail(f"trial {trial.number}, a blend of {shown}: {plan.metric} {trial.metrics[plan.metric]:.4f}")
    return (trial,)


def _trials(plan: SearchPlan) -> int:
    space = plan.joint_space()
    return sum(map(space.size, space.families)) if plan.method == "grid" else plan.max_evals


def _told(plan: SearchPlan) -> str:
    trials = console.number_of("point" if plan.method == "grid" else "trial", _trials(plan))
    at_once = f", {plan.parallelism} at once" if plan.parallelism > 1 else ""
    minutes = "" if plan.max_minutes is None else f", at most {plan.max_minutes:g} minutes"
    return f"{trials}{at_once}{minutes}"
