"""The executor of a plan."""

from collections.abc import Callable, Mapping

from training.search.executors import Executor
from training.search.executors.in_process import InProcess
from training.search.executors.processes import Processes
from training.search.plan import ExecutorName, Search
from training.search.trial import Task, Trial

EXECUTORS: Mapping[ExecutorName, Callable[[Callable[[Task], Trial], Search], Executor]] = {
    "in_process": lambda attempt, _plan: InProcess(attempt),
    "processes": lambda attempt, plan: Processes(
        attempt, plan.parallelism, plan.trial_timeout_s, plan.trial_memory_mb
    ),
}


def executor(attempt: Callable[[Task], Trial], plan: Search) -> Executor:
    """Where the plan's trials run."""
    return EXECUTORS[plan.runs_on](attempt, plan)
