"""Search by Optuna, an optional extra. No other module imports it."""

from typing import TYPE_CHECKING

import numpy as np

from lakehouse.errors import LakehouseError
from training.search.engines.proposer import Proposer
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Choice, Dimension, Int, Value

if TYPE_CHECKING:
    import optuna


class EngineMissing(LakehouseError):
    """The engine is not installed."""

    @classmethod
    def optuna(cls) -> "EngineMissing":
        return cls("the engine optuna is not installed", hint="Install it: .venv/bin/uv pip install '.[optuna]'")


class Optuna:
    """Proposes the initial points of the space, then those of an Optuna sampler.

    Raises:
        EngineMissing: Optuna is not installed.
    """

    def __init__(self, space: JointSpace, method: str, seed: int) -> None:
        try:
            import optuna
        except ImportError as err:
            raise EngineMissing.optuna() from err
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        self._space = space
        self._study = optuna.create_study(sampler=samplers[method](seed=seed))
        for candidate in space.initial:
            self._study.enqueue_trial({name: value for name, _, value in space.choices(candidate)})
        self._open: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> Candidate | None:
        trial = self._open[number] = self._study.ask()
        return self._space.draw(lambda label, dimension: _suggest(trial, label, dimension))

    def tell(self, number: int, loss: float) -> None:
        # A failure is reported as an infinite loss: Optuna would not avoid trials reported as failed.
        self._study.tell(self._open.pop(number), float("inf") if np.isnan(loss) else loss)


def _suggest(trial: "optuna.Trial", label: str, dimension: Dimension) -> Value:
    if isinstance(dimension, Choice):
        value: Value = trial.suggest_categorical(label, dimension.values)
        return value
    suggest = trial.suggest_int if isinstance(dimension, Int) else trial.suggest_float
    return suggest(label, dimension.low, dimension.high, log=dimension.log)  # type: ignore[arg-type]


_: type[Proposer] = Optuna
