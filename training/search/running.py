"""A plan becomes a search: its space, its method, its executor, and the loop around them."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from lakehouse.session import classic_session, workspace_session
from lakehouse.settings import Settings
from training.search.engines.factory import proposer
from training.search.engines.proposer import Proposer
from training.search.executors.attempt_file import AttemptFile
from training.search.executors.factory import executor
from training.search.loop import Loop, ResumeRefused, SearchLimits
from training.search.result import OnTrial, SearchResult
from training.search.trial import Trial, TrialSpec
from training.use_case.search import SearchPlan


def run_plan(
    plan: SearchPlan,
    attempt: Callable[[TrialSpec], Trial],
    record: OnTrial,
    settings: Settings,
    finished: Mapping[int, Trial] | None = None,
) -> SearchResult:
    """Search as the plan says.

    Args:
        attempt: tries one candidate; one that fails is recorded and passed over.
        record: takes each new trial as it ends.
        settings: where Spark is, for executors that run on it.
        finished: trials of an interrupted search of the same plan, by number.

    Raises:
        SpaceRefused: the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
        ResumeRefused: the finished trials are not this plan's, or have no order.
    """
    if plan.runs_on == "spark_trials":
        if finished:
            raise ResumeRefused.unordered(len(finished))
        return _by_spark_trials(plan, attempt, record, settings)
    terms = SearchLimits(
        plan.metric,
        trials=plan.max_evals,
        seconds=None if plan.max_minutes is None else plan.max_minutes * 60,
        ahead=plan.ahead,
        prune=plan.prunes,
    )
    return Loop(proposer_of(plan), executor(attempt, plan, settings), terms, record, finished).run()


def proposer_of(plan: SearchPlan) -> Proposer:
    """What the plan tries.

    Raises:
        SpaceRefused: the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
    """
    return proposer(
        plan.joint_space(), method=plan.method, engine=plan.engine, max_evals=plan.max_evals, seed=plan.seed
    )


def _by_spark_trials(
    plan: SearchPlan, attempt: Callable[[TrialSpec], Trial], record: OnTrial, settings: Settings
) -> SearchResult:
    from training.search.engines.hyperopt import fmin_on_spark

    opened = nullcontext(workspace_session()) if settings.in_workspace else classic_session(settings.master)
    with opened as session, tempfile.TemporaryDirectory(prefix="search-") as folder:
        return fmin_on_spark(plan, AttemptFile.packed(attempt, Path(folder) / "attempt"), session, record)
