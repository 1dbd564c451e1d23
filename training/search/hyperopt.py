"""The search by hyperopt: the only module that knows it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hyperopt import STATUS_FAIL, STATUS_OK, Trials, fmin, hp, rand, tpe
from hyperopt.exceptions import AllTrialsFailed
from hyperopt.pyll import scope

from lakehouse.errors import LakehouseError
from training.models import FAMILIES
from training.models.family import Family
from training.search.space import Dimension, Float, Int, Value
from training.search.trial import Candidate, Trial
from training.use_case import Search

ALGORITHMS = {"tpe": tpe.suggest, "random": rand.suggest}


class SearchFailed(LakehouseError):
    """No trial came to a result."""

    @classmethod
    def after(cls, trials: Sequence[Trial]) -> "SearchFailed":
        return cls(
            f"none of {len(trials)} trials came to a result; the last one failed with "
            f"{trials[-1].error or 'a metric that is no number'}",
            hint="Narrow the families or their spaces, and look at the failed trials: mlflow ui",
        )


def search(plan: Search, run: Callable[[int, Candidate], Trial]) -> list[Trial]:
    """Search the plan's families and their hyperparameters jointly; every trial in the order it ran.

    Args:
        plan: families, method, metric, number of trials and the seed that makes their sequence repeatable.
        run: tries one candidate; a failed trial is recorded and passed over.

    Raises:
        SearchFailed: every trial failed.
    """
    trials: list[Trial] = []

    def objective(point: dict[str, Any]) -> dict[str, Any]:
        trial = run(len(trials) + 1, _candidate(point))
        trials.append(trial)
        loss = trial.loss(plan.metric)
        return {"status": STATUS_OK, "loss": loss} if np.isfinite(loss) else {"status": STATUS_FAIL}

    try:
        fmin(
            objective,
            hp.choice("family", [_family_space(FAMILIES[name]) for name in plan.families]),
            algo=ALGORITHMS[plan.method],
            max_evals=plan.max_evals,
            trials=Trials(),
            rstate=np.random.default_rng(plan.seed),
            show_progressbar=False,
            return_argmin=False,
            verbose=False,
        )
    except AllTrialsFailed as err:
        raise SearchFailed.after(trials) from err
    return trials


def best(trials: Sequence[Trial], metric: str) -> Trial:
    """The trial of least loss; of equal ones the earliest."""
    return min(trials, key=lambda trial: (trial.loss(metric), trial.number))


def _family_space(family: Family) -> dict[str, Any]:
    # hyperopt wants one label per dimension in the whole space, and families may share names.
    dimensions = {name: _dimension(f"{family.name}.{name}", dim) for name, dim in family.space.items()}
    return {"family": family.name, "params": dimensions}


def _dimension(label: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Int):
        if dimension.log:
            return scope.int(hp.qloguniform(label, np.log(dimension.low), np.log(dimension.high), 1))
        return hp.uniformint(label, dimension.low, dimension.high)
    if isinstance(dimension, Float):
        if dimension.log:
            return hp.loguniform(label, np.log(dimension.low), np.log(dimension.high))
        return hp.uniform(label, dimension.low, dimension.high)
    return hp.choice(label, list(dimension.values))


def _candidate(point: Mapping[str, Any]) -> Candidate:
    return Candidate(point["family"], {name: _plain(value) for name, value in sorted(point["params"].items())})


def _plain(value: Any) -> Value:
    """Real values as Python's own types, as trackers and files take them."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain
