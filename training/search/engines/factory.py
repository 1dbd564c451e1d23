"""The proposer of each search method and engine."""

from collections.abc import Callable, Mapping

from training.search.engines.grid import Grid
from training.search.engines.proposer import Proposer
from training.space.joint_space import JointSpace
from training.use_case.search_words import Engine, Method


def _hyperopt(space: JointSpace, method: Method, seed: int) -> Proposer:
    from training.search.engines.hyperopt import Hyperopt

    return Hyperopt(space, method, seed)


def _optuna(space: JointSpace, method: Method, seed: int) -> Proposer:
    from training.search.engines.optuna import Optuna

    return Optuna(space, method, seed)


ENGINES: Mapping[Engine, Callable[[JointSpace, Method, int], Proposer]] = {"hyperopt": _hyperopt, "optuna": _optuna}


def proposer(space: JointSpace, *, method: Method, engine: Engine, max_evals: int, seed: int) -> Proposer:
    """Make the proposer of a method; a grid needs no engine.

    Raises:
        SpaceRefused: the grid has more than `max_evals` points.
        EngineMissing: the engine is an extra that is not installed.
    """
    return Grid(space, max_evals) if method == "grid" else ENGINES[engine](space, method, seed)
