"""The machine-learning tasks by name. Adding a task is adding its module and a line here; see ADR 11."""

from collections.abc import Mapping

from scoring.tasks.binary import BINARY
from scoring.tasks.forecast import FORECAST
from scoring.tasks.multiclass import MULTICLASS
from scoring.tasks.regression import REGRESSION
from scoring.tasks.task import Classes, Task

__all__ = ["BINARY", "FORECAST", "MULTICLASS", "REGRESSION", "TASKS", "Classes", "Task"]

TASKS: Mapping[str, Task] = {task.name: task for task in (BINARY, MULTICLASS, REGRESSION, FORECAST)}
