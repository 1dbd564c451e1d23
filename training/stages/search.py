"""Stage 2: search the model families."""

from collections.abc import Mapping
from dataclasses import replace
from math import nan
from typing import Any

import mlflow
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from lakehouse import console
from lakehouse.settings import Settings
from lakehouse.wording import format_dates, format_minutes, number_of
from training.budget import Budget
from training.evaluation.metrics import METRICS
from training.feature_store.home import open_store
from training.frame import lineage
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import constant_inputs, groups
from training.frame.splits import Split, folds
from training.models import FAMILIES
from training.population.build import require_slices
from training.search.blending import BlendRefused, blend
from training.search.ensemble_candidates import blend_members, stack_layers
from training.search.first_model import first_model, in_place_of_trials
from training.search.fitting import SAMPLE_ROWS
from training.search.loop import RESERVED_SHARE
from training.search.memory import require_memory
from training.search.progress import SearchProgress
from training.search.result import SearchResult
from training.search.running import proposer_of, run_plan
from training.search.stacking import StackRefused, stack, with_out_of_fold
from training.search.trial import BASELINE, Attempt, Trial, TrialSpec, selected_loss
from training.space.joint_space import Candidate
from training.stages.affordable import unaffordable
from training.stages.texts import plan_for_texts
from training.tracking import experiment_id
from training.tracking.searches import (
    STOP_REASON,
    find_unfinished,
    finished_trials,
    log_leaderboard,
    log_left_behind,
    trial_log,
)
from training.tracking.trials import TrialLog
from training.use_case.narrowing import RECENCY
from training.use_case.search import SearchPlan
from training.use_case.split import SplitPlan
from training.use_case.use_case import UseCase, with_search

TOO_LONG = "families_too_long"  # tag of a run
LEAST_MINUTES = 1e-6  # engines refuse a limit of zero
LOGGED = {"method", "engine", "families", "metric", "seed", "parallelism"}


def apply_overrides(use_case: UseCase, overrides: Mapping[str, Any]) -> UseCase:
    """The use case with the command-line options in place of the values of its file.

    Raises:
        UseCaseRefused: the values are invalid.
    """
    changes = {name: value for name, value in overrides.items() if value is not None}
    if "families" in changes:
        changes["families"] = [name.strip() for name in changes["families"].split(",")]
    return with_search(use_case, changes) if changes else use_case


def resolve_inputs(use_case: UseCase, frame: TrainingFrame) -> UseCase:
    """The use case with the names of all inputs that its search may leave out.

    Raises:
        SpaceRefused: the tables lack a named input, or the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
        SliceUnknown: monitoring names a slice that the inputs do not have.
        EmbedderMissing: an encoding needs an extra that is not installed.
    """
    require_slices(use_case.monitoring, frame.encoder)
    for encoding in frame.encoder.encodings:
        encoding.require_files()
    plan = use_case.search.with_inputs(list(groups(frame.encoder)), constant_inputs(frame.encoder))
    if plan.recency_weights and frame.first == frame.last:
        plan = plan.without_recency()
        dates = format_dates(frame.first, frame.last)
        console.detail(f"no row is newer than another ({dates}): {RECENCY} is not searched")
    plan = plan_for_texts(plan, frame)
    proposer_of(plan)  # an invalid plan fails here, before it leaves a run that --resume would take for interrupted
    return use_case.model_copy(update={"search": plan})


def find_interrupted(
    use_case: UseCase, resume: str | None, client: MlflowClient, settings: Settings
) -> tuple[str, Run | None]:
    """The experiment of the use case, and the interrupted search to continue, if any.

    Unlogged trials of killed processes are logged first.

    Args:
        resume: run ID of an interrupted search, or `latest`; None starts a new search.

    Raises:
        NothingToResume: no such search exists.
    """
    experiment = experiment_id(client, settings, use_case.name)
    log_left_behind(client, settings)
    return experiment, find_unfinished(client, experiment, use_case.name, resume) if resume else None


def search(  # noqa: PLR0913, PLR0917  (a stage needs the results of earlier stages)
    use_case: UseCase,
    data: Split,
    run: Run,
    interrupted: Run | None,
    client: MlflowClient,
    settings: Settings,
    *,
    budget: Budget,
    register_on_interrupt: bool,
) -> SearchResult:
    """Search the use case's families and log every trial to the run.

    Args:
        interrupted: the search to continue, if any.
        budget: the time of the training run.
        register_on_interrupt: True if Ctrl-C ends the search with the best model so far.

    Raises:
        KeyboardInterrupt: Ctrl-C, without `register_on_interrupt` or before the first trial ended.
        RowsTooLarge: the dense rows of a family do not fit into memory.
    """
    metric = use_case.search.metric
    lineage.log_inputs(use_case, open_store(settings), data)
    mlflow.log_metrics({f"left_out.{table}": count for table, count in data.training.left_out.items()})
    with trial_log(client, run, settings, use_case.search.seed) as log:
        finished = finished_trials(client, interrupted)
        settled = None if interrupted is None else interrupted.data.tags.get(TOO_LONG)
        result = run_search(use_case, data.training, log, settings, finished, budget, settled)
    log_leaderboard(client, run, result.trials, metric)
    mlflow.set_tag(STOP_REASON, result.stop_reason)
    if result.stop_reason == "interrupted" and not (register_on_interrupt and result.searched):
        raise KeyboardInterrupt(
            f"Nothing was registered. To continue, repeat the command with --resume {run.info.run_id}"
        )
    if (baseline := result.unbeaten_baseline(metric)) is not None:
        console.detail(f"no trial beats the baseline (dummy): {metric} {baseline:.4f}")
    return result


def run_search(  # noqa: PLR0913, PLR0917  (a stage needs the results of earlier stages)
    use_case: UseCase,
    frame: TrainingFrame,
    log: TrialLog,
    settings: Settings,
    finished: Mapping[int, Trial],
    budget: Budget | None = None,
    too_long: str | None = None,
) -> SearchResult:
    """Run the baseline, the search, stacks and the blend; log each trial as it ends.

    Args:
        budget: the time of the training run; None: the plan's limit, from now.
        too_long: families that the interrupted search left out for the time they take, separated by commas; None to
            decide it now.

    Raises:
        RowsTooLarge: the dense rows of a family do not fit into memory.
    """
    plan = use_case.search
    budget = budget or Budget.of(plan.max_seconds)
    parts = list(folds(frame, use_case.split, plan.seed))
    attempt = Attempt(parts, plan.seed, use_case.response_format.threshold)
    on_folds = number_of("fold", len(parts))
    console.stage(f"Searching {', '.join(plan.families)} by {plan.method}: {_format_plan(plan)} on {on_folds}")
    if memory := require_memory(plan, frame):
        console.detail(memory)
    mlflow.log_params({"use_case": use_case.name, **plan.model_dump(include=LOGGED), "prune": plan.pruning_enabled})
    resumed = {number: trial for number, trial in finished.items() if _is_searched(trial)}
    if resumed:
        console.detail(f"resumed with {number_of('trial', len(resumed))} of run {log.run_id}")
    plan = _without_too_long(plan, attempt, budget, too_long)
    baseline = _baseline(attempt, log, finished)
    console.detail(f"baseline (dummy) {plan.metric} {baseline.metrics.get(plan.metric, nan):.4f}")
    first = None if plan.max_seconds is None else first_model(plan, attempt)
    with SearchProgress(plan.metric, _trial_count(plan), resumed.values()) as progress:

        def record(trial: Trial) -> None:
            log.add(replace(trial, origin=plan.origin(trial.candidate)))
            progress.add(trial)
            if warning := log.warning():
                progress.print(warning)

        result = run_plan(_shortened(plan, budget), attempt, record, settings, resumed)
    console.detail(f"{number_of('trial', len(result.trials))}: {progress.summary()}")
    if result.stop_reason == "out_of_time" and plan.max_minutes:
        console.detail(f"search stopped by its limit of {format_minutes(plan.max_minutes)}")
    # A trial in this process may have used the time that was reserved for the blend.
    reserve = budget if plan.max_seconds is None else budget.at_least(RESERVED_SHARE * plan.max_seconds)
    stacked = _stack(result, frame, use_case.split, attempt, plan, budget)
    last = _blend(stacked, attempt, plan, reserve) or in_place_of_trials(result, first)
    trials = stacked.trials if last is None else (*stacked.trials, last)
    for trial in trials[len(result.trials) :]:
        earlier = finished.get(trial.number)
        if earlier is None or earlier.candidate != trial.candidate:
            log.add(trial)
    return replace(result, trials=(baseline, *trials))


def with_predictions_of_bases(data: Split, use_case: UseCase, result: SearchResult) -> Split:
    """The training rows with the predictions from which the stacks of a search learn; unchanged without a stack."""
    layers = [layers for trial in result.trials if (layers := stack_layers(trial.candidate)) is not None]
    bases = [trial for trial in result.trials if any(trial.candidate in below for below, _ in layers)]
    if not bases:
        return data
    seed = use_case.search.seed
    return replace(data, training=with_out_of_fold(data.training, use_case.split, seed, bases))


def _without_too_long(plan: SearchPlan, attempt: Attempt, budget: Budget, settled: str | None) -> SearchPlan:
    """The plan without families whose trials take too long: those that an interrupted search left out, or by time."""
    if settled is not None:
        return plan.without_families(settled.split(","))
    reasons = unaffordable(plan, attempt, budget)
    mlflow.set_tag(TOO_LONG, ",".join(reasons))
    for reason in reasons.values():
        console.detail(reason)
    return plan.without_families(reasons)


def _is_searched(trial: Trial) -> bool:
    """True unless the trial is the baseline, an ensemble or the first model, which a search runs by itself."""
    return FAMILIES[trial.candidate.family].searched and SAMPLE_ROWS not in trial.candidate.params


def _shortened(plan: SearchPlan, budget: Budget) -> SearchPlan:
    """The plan with the time that is left of its limit."""
    if (left := budget.left()) is None:
        return plan
    return plan.model_copy(update={"max_minutes": max(left / 60, LEAST_MINUTES)})


def _baseline(attempt: Attempt, log: TrialLog, finished: Mapping[int, Trial]) -> Trial:
    if (earlier := finished.get(BASELINE)) is not None:
        return earlier
    trial = attempt(TrialSpec(BASELINE, Candidate("dummy", {})))
    log.add(trial)
    return trial


def _stack(  # noqa: PLR0913, PLR0917  (a stage needs the results of earlier stages)
    result: SearchResult, frame: TrainingFrame, split: SplitPlan, attempt: Attempt, plan: SearchPlan, budget: Budget
) -> SearchResult:
    """The search with its stacks as further trials; unchanged, with the reason on the console, if it has none."""
    if not plan.stacks or result.stop_reason == "interrupted":
        return result
    try:
        stacked = stack(result.trials, frame, split, attempt, plan.metric, plan.stacks, budget.left())
    except StackRefused as err:
        console.detail(f"no stack: {err.failed}")
        return result
    for trial in stacked.stacks:
        bases, final_estimator = stack_layers(trial.candidate) or ([], trial.candidate)
        outcome = trial.error or f"{plan.metric} {trial.metrics[plan.metric]:.4f}"
        below = ", ".join(base.family for base in bases)
        console.detail(f"trial {trial.number}, stack of {final_estimator.family} on {below}: {outcome}")
    keeping = {trial.number: trial for trial in stacked.bases}
    searched = (keeping.get(trial.number, trial) for trial in result.trials)
    return replace(result, trials=(*searched, *stacked.stacks))


def _blend(result: SearchResult, attempt: Attempt, plan: SearchPlan, budget: Budget) -> Trial | None:
    """The blend of the search; None, with the reason on the console, if it has none."""
    if not plan.blend or result.stop_reason == "interrupted":
        return None
    try:
        trial = blend(result.trials, attempt, plan.metric, plan.blend, budget.left())
    except BlendRefused as err:
        console.detail(f"no blend: {err.failed}")
        return None
    families = " and ".join(sorted({member.family for _, member in blend_members(trial.candidate)}))
    selected = METRICS[plan.metric].loss(selected_loss(result.trials, plan.metric))
    blended = f"trial {trial.number}, blend of {families}: {plan.metric} {trial.metrics[plan.metric]:.4f}"
    console.detail(f"{blended}; {selected:.4f} for the trial that is best on the other folds")
    return trial


def _trial_count(plan: SearchPlan) -> int:
    space = plan.joint_space()
    return sum(map(space.size, space.families)) if plan.method == "grid" else plan.max_evals


def _format_plan(plan: SearchPlan) -> str:
    trials = number_of("point" if plan.method == "grid" else "trial", _trial_count(plan))
    at_once = f", {plan.parallelism} at once" if plan.parallelism > 1 else ""
    minutes = "" if plan.max_minutes is None else f", at most {format_minutes(plan.max_minutes)}"
    return f"{trials}{at_once}{minutes}"
