"""The executor of each name in a plan."""

from collections.abc import Callable, Mapping

from lakehouse.session import open_session, workspace_session
from lakehouse.settings import Settings
from training.search.executors import Executor
from training.search.executors.in_process import InProcess
from training.search.executors.processes import Processes
from training.search.executors.spark_connect import SparkConnect
from training.search.trial import Trial, TrialSpec
from training.use_case.search import SearchPlan
from training.use_case.search_words import ExecutorName

RunTrial = Callable[[TrialSpec], Trial]


def _spark_connect(attempt: RunTrial, plan: SearchPlan, settings: Settings) -> Executor:
    session = workspace_session() if settings.in_workspace else open_session(settings.remote)
    return SparkConnect(attempt, session, plan.parallelism)


EXECUTORS: Mapping[ExecutorName, Callable[[RunTrial, SearchPlan, Settings], Executor]] = {
    "in_process": lambda attempt, _plan, _settings: InProcess(attempt),
    "processes": lambda attempt, plan, _settings: Processes(
        attempt, plan.parallelism, plan.trial_timeout_s, plan.trial_memory_mb
    ),
    "spark_connect": _spark_connect,
}


def executor(attempt: RunTrial, plan: SearchPlan, settings: Settings) -> Executor:
    """Make the executor of the plan."""
    return EXECUTORS[plan.resolved_executor](attempt, plan, settings)
