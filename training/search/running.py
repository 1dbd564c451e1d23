"""A plan becomes a search: its space, its method, its executor, and the loop around them."""

from collections.abc import Callable, Mapping

from training.search.executors.choice import executor
from training.search.loop import Found, Loop, Record, Terms
from training.search.methods import proposer
from training.search.plan import Search
from training.search.trial import Task, Trial


def search(
    plan: Search, attempt: Callable[[Task], Trial], record: Record, finished: Mapping[int, Trial] | None = None
) -> Found:
    """Search as the plan says.

    Args:
        attempt: tries one candidate; one that fails is recorded and passed over.
        record: takes each new trial as it ends.
        finished: trials of an interrupted search of the same plan, by number.

    Raises:
        SpaceRefused: the grid is larger than `max_evals`.
        EngineMissing: the engine is an extra that is not installed.
        ResumeRefused: the finished trials are not this plan's.
    """
    method = proposer(
        plan.joint_space(), method=plan.method, engine=plan.engine, max_evals=plan.max_evals, seed=plan.seed
    )
    terms = Terms(
        plan.metric,
        trials=plan.max_evals,
        seconds=None if plan.max_minutes is None else plan.max_minutes * 60,
        ahead=plan.ahead,
        prune=plan.prune,
    )
    return Loop(method, executor(attempt, plan), terms, record, finished).run()
