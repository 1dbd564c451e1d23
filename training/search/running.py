"""A plan becomes a search: its space, its method, its executor, and the loop around them."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

from lakehouse.session import classic_session, workspace_session
from lakehouse.settings import Settings
from training.search.executors.choice import executor
from training.search.executors.parcel import Parcel
from training.search.loop import Found, Loop, Record, ResumeRefused, Terms
from training.search.methods import proposer
from training.search.plan import Search
from training.search.proposer import Proposer
from training.search.trial import Task, Trial


def search(
    plan: Search,
    attempt: Callable[[Task], Trial],
    record: Record,
    settings: Settings,
    finished: Mapping[int, Trial] | None = None,
) -> Found:
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
    terms = Terms(
        plan.metric,
        trials=plan.max_evals,
        seconds=None if plan.max_minutes is None else plan.max_minutes * 60,
        ahead=plan.ahead,
        prune=plan.prunes,
    )
    return Loop(proposed(plan), executor(attempt, plan, settings), terms, record, finished).run()


def proposed(plan: Search) -> Proposer:
    """What the plan tries.

    Raises:
        SpaceRefused: the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
    """
    return proposer(
        plan.joint_space(), method=plan.method, engine=plan.engine, max_evals=plan.max_evals, seed=plan.seed
    )


def _by_spark_trials(plan: Search, attempt: Callable[[Task], Trial], record: Record, settings: Settings) -> Found:
    from training.search.hyperopt import fmin_on_spark

    opened = nullcontext(workspace_session()) if settings.in_workspace else classic_session(settings.master)
    with opened as session, tempfile.TemporaryDirectory(prefix="search-") as folder:
        return fmin_on_spark(plan, Parcel.packed(attempt, Path(folder) / "attempt"), session, record)
