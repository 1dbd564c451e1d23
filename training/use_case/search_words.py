"""Words of a `search` declaration for its method, engine and executor."""

from typing import Literal

Method = Literal["grid", "random", "tpe"]
Engine = Literal["hyperopt", "optuna"]
ExecutorName = Literal["in_process", "processes", "spark_trials", "spark_connect"]
