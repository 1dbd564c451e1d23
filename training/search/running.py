"""Runs the search of a plan: builds its space, proposer and executor, and starts the loop."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from lakehouse.session import classic_session, workspace_session
from lakehouse.settings import Settings
from training.search.engines.factory import proposer
from training.search.engines.proposer import Proposer
from training.search.executors.attempt_file import AttemptFile
from training.search.executors.factory import executor
from training.search.executors.search_folder import SearchFolder
from training.search.loop import RESERVED_SHARE, Loop, ResumeRefused, SearchLimits
from training.search.result import OnTrial, SearchResult
from training.search.trial import Attempt, Trial, TrialSpec
from training.use_case.search import SearchPlan


def run_plan(
    plan: SearchPlan,
    attempt: Callable[[TrialSpec], Trial],
    record: OnTrial,
    settings: Settings,
    finished: Mapping[int, Trial] | None = None,
) -> SearchResult:
    """Run the search of a plan.

    Args:
        attempt: runs one trial; a failed trial does not end the search.
        record: called with each new trial as it ends.
        settings: address of Spark, for executors that need it.
        finished: trials of an interrupted search of the same plan, by number.

    Raises:
        SpaceRefused: the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
        ResumeRefused: the finished trials belong to another plan, or have no order.
    """
    if plan.resolved_executor == "spark_trials":
        if finished:
            raise ResumeRefused.unordered(len(finished))
        return _run_spark_trials(plan, attempt, record, settings)
    limits = SearchLimits(
        plan.metric,
        trials=plan.max_evals,
        seconds=plan.max_seconds,
        blend=plan.blend,
        stacks=plan.stacks,
        refits=_refits(plan, attempt) if isinstance(attempt, Attempt) else (0.0,),
        lookahead=plan.lookahead,
        prune=plan.pruning_enabled,
    )
    return Loop(proposer_of(plan), executor(attempt, plan, settings), limits, record, finished).run()


def _refits(plan: SearchPlan, attempt: Attempt) -> tuple[float, ...]:
    return tuple(attempt.refits + fits for fits in plan.final_fits(len(attempt.folds)))


def proposer_of(plan: SearchPlan) -> Proposer:
    """The proposer of the plan.

    Raises:
        SpaceRefused: the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
    """
    return proposer(
        plan.joint_space(), method=plan.method, engine=plan.engine, max_evals=plan.max_evals, seed=plan.seed
    )


def _run_spark_trials(
    plan: SearchPlan, attempt: Callable[[TrialSpec], Trial], record: OnTrial, settings: Settings
) -> SearchResult:
    from training.search.engines.hyperopt import fmin_on_spark

    seconds = plan.max_seconds
    if seconds is not None:
        seconds *= 1 - RESERVED_SHARE  # fmin has a fixed limit

    spark = nullcontext(workspace_session()) if settings.in_workspace else classic_session(settings.master)
    with spark as session, SearchFolder() as folder:
        file = AttemptFile.write(attempt, Path(folder) / "attempt")
        return fmin_on_spark(plan, file, session, record, seconds)
