"""The search by hyperopt: the only module that knows it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, Domain, Trials, hp, rand, space_eval, tpe
from hyperopt.base import spec_from_misc
from hyperopt.pyll import scope

from training.search.joint import FAMILY, Candidate, JointSpace, dependents, label
from training.search.proposer import Proposer
from training.search.space import Choice, Float, Int, Params, Space, Value

ALGORITHMS = {"tpe": tpe.suggest, "random": rand.suggest}
SEEDS = 2**31 - 1  # as fmin draws one for each proposal


class Hyperopt:
    """hyperopt's algorithms, asked and told; the proposals are those of its `fmin` for the same seed and losses."""

    def __init__(self, space: JointSpace, method: str, seed: int) -> None:
        self._space = expression(space)
        self._algorithm = ALGORITHMS[method]
        self._domain = Domain(lambda _point: 0.0, self._space)
        self._trials = Trials()
        self._draws = np.random.default_rng(seed)
        self._places: dict[int, int] = {}

    def ask(self, number: int) -> Candidate | None:
        ids = self._trials.new_trial_ids(1)
        self._trials.refresh()
        asked = self._algorithm(ids, self._domain, self._trials, self._draws.integers(SEEDS))
        self._places[number] = len(self._trials._dynamic_trials)
        self._trials.insert_trial_docs(asked)
        self._trials.refresh()
        return point(space_eval(self._space, spec_from_misc(asked[0]["misc"])))

    def tell(self, number: int, loss: float) -> None:
        asked = self._trials._dynamic_trials[self._places.pop(number)]
        asked["state"], asked["result"] = JOB_STATE_DONE, result(loss)
        self._trials.refresh()


def expression(space: JointSpace) -> Any:
    """The space as hyperopt writes it: a choice of families, and a choice within where dimensions depend on one."""
    return hp.choice(FAMILY, [_family(name, dimensions) for name, dimensions in space.families.items()])


def point(drawn: Mapping[str, Any]) -> Candidate:
    """What hyperopt drew from `expression`, as a candidate with real values."""
    return Candidate.of(drawn["family"], _flat(drawn["params"]))


def result(loss: float) -> dict[str, Any]:
    """A loss as hyperopt takes it."""
    return {"status": STATUS_OK, "loss": loss} if np.isfinite(loss) else {"status": STATUS_FAIL}


def _family(family: str, space: Space) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    # From the last to the first: what depends on a choice stands after it, and is part of it.
    for name in reversed(list(space)):
        nodes[name] = _node(label(family, name), name, space, nodes)
    return {"family": family, "params": {name: nodes[name] for name in space if space[name].when is None}}


def _node(labelled: str, name: str, space: Space, nodes: Mapping[str, Any]) -> Any:
    dimension = space[name]
    if not isinstance(dimension, Choice):
        return _range(labelled, dimension)
    options = []
    for value in dimension.values:
        inner = {other: nodes[other] for other in dependents(space, name, value)}
        options.append({"value": value, "inner": inner} if inner else value)
    return hp.choice(labelled, options)


def _range(labelled: str, dimension: Int | Float) -> Any:
    low, high = dimension.low, dimension.high
    if isinstance(dimension, Int):
        if dimension.log:
            return scope.int(hp.qloguniform(labelled, np.log(low), np.log(high), 1))
        return hp.uniformint(labelled, low, high)
    if dimension.log:
        return hp.loguniform(labelled, np.log(low), np.log(high))
    return hp.uniform(labelled, low, high)


def _flat(drawn: Mapping[str, Any]) -> Params:
    flat: dict[str, Value] = {}
    for name, value in drawn.items():
        if isinstance(value, Mapping):
            flat |= {name: value["value"], **_flat(value["inner"])}
        else:
            flat[name] = _plain(value)
    return flat


def _plain(value: Any) -> Value:
    """Real values as Python's own types, as trackers and files take them."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain


_: type[Proposer] = Hyperopt
