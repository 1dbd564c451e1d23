"""The search by hyperopt: the only module that knows it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperopt import (
    JOB_STATE_DONE,
    JOB_STATE_ERROR,
    STATUS_FAIL,
    STATUS_OK,
    Domain,
    SparkTrials,
    Trials,
    fmin,
    hp,
    rand,
    space_eval,
    tpe,
)
from hyperopt.base import spec_from_misc
from hyperopt.exceptions import AllTrialsFailed
from hyperopt.pyll import scope
from hyperopt.spark import FMIN_CANCELLED_REASON_TIMEOUT

from training.search.engines.proposer import Proposer
from training.search.executors.attempt_file import AttemptFile
from training.search.record import read
from training.search.result import OnTrial, SearchResult, StopReason
from training.search.trial import Trial, TrialSpec
from training.space.joint_space import FAMILY, Candidate, JointSpace, dependents, label
from training.space.space import Choice, Dimension, Float, Int, Params, Space, Value
from training.use_case.search import SearchPlan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Documents = list[dict[str, Any]]
Algorithm = Callable[[Sequence[int], Domain, Trials, int], Documents]
ALGORITHMS: Mapping[str, Algorithm] = {"tpe": tpe.suggest, "random": rand.suggest}
SEEDS = 2**31 - 1  # as fmin draws one for each proposal


class Hyperopt:
    """`algorithm`, asked and told; the proposals are those of hyperopt's `fmin` for the same seed and losses."""

    def __init__(self, space: JointSpace, method: str, seed: int) -> None:
        self._space = expression(space)
        self._algorithm = algorithm(space, method)
        self._domain = Domain(lambda _point: 0.0, self._space)
        self._trials = Trials()
        self._draws = np.random.default_rng(seed)
        self._places: dict[int, int] = {}

    def ask(self, number: int) -> Candidate | None:
        ids = self._trials.new_trial_ids(1)
        self._trials.refresh()
        asked = self._algorithm(ids, self._domain, self._trials, int(self._draws.integers(SEEDS)))
        self._places[number] = len(self._trials._dynamic_trials)
        self._trials.insert_trial_docs(asked)
        self._trials.refresh()
        return point(space_eval(self._space, spec_from_misc(asked[0]["misc"])))

    def tell(self, number: int, loss: float) -> None:
        asked = self._trials._dynamic_trials[self._places.pop(number)]
        asked["state"], asked["result"] = JOB_STATE_DONE, result(loss)
        self._trials.refresh()


def fmin_on_spark(plan: SearchPlan, parcel: AttemptFile, session: "SparkSession", record: OnTrial) -> SearchResult:
    """The search by `fmin` with `SparkTrials`: each trial is a Spark job, and its order is Spark's.

    Args:
        session: a classic one; `SparkTrials` knows no Spark Connect.

    Raises:
        ParcelRefused: the workers do not see the data, and it is too large to travel.
    """
    metric, joint = plan.metric, plan.joint_space()
    space = expression(joint)
    if not session.sparkContext.parallelize([0], 1).map(lambda _row: parcel.seen()).first():
        parcel = parcel.with_bytes()

    def objective(drawn: Mapping[str, Any]) -> dict[str, Any]:
        trial = parcel.attempted(TrialSpec(0, point(drawn)))
        return result(read(trial).loss(metric)) | {"trial": trial}

    seconds = None if plan.max_minutes is None else plan.max_minutes * 60
    trials = SparkTrials(plan.parallelism, timeout=seconds, spark_session=session)
    heard = _Heard(space, record)
    ended: StopReason = "complete"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Spark session is not provided", UserWarning)  # of its threads
            fmin(
                objective,
                space,
                algo=algorithm(joint, plan.method),
                max_evals=plan.max_evals,
                trials=trials,
                rstate=np.random.default_rng(plan.seed),
                early_stop_fn=heard.listen,
                show_progressbar=False,
                return_argmin=False,
                verbose=False,
            )
    except AllTrialsFailed:
        pass  # `Found` says so
    except KeyboardInterrupt:
        ended = "interrupted"
    heard.take(trials)
    return SearchResult(tuple(heard.trials[number] for number in sorted(heard.trials)), heard.ended(trials, ended))


class _Heard:
    """What `SparkTrials` said so far. It calls from a thread of its own, in which nothing may be raised."""

    def __init__(self, space: Any, record: OnTrial) -> None:
        self.trials: dict[int, Trial] = {}
        self._space, self._record = space, record
        self._failure: Exception | None = None

    def listen(self, trials: Trials, *_: object) -> tuple[bool, tuple[object, ...]]:
        """Take what is new; whether to stop."""
        try:
            self.take(trials)
        except Exception as err:  # noqa: BLE001  (raised by `ended`)
            self._failure = err
        return self._failure is not None, ()

    def take(self, trials: Trials) -> None:
        for document in list(trials._dynamic_trials):
            number = document["tid"] + 1
            if number not in self.trials and _is_told(document):
                self.trials[number] = self._read(number, document)
                self._record(self.trials[number])

    def ended(self, trials: SparkTrials, ended: StopReason) -> StopReason:
        """How it ended; what went wrong while listening is raised."""
        if self._failure is not None:
            raise self._failure
        return "out_of_time" if trials.fmin_cancelled_reason == FMIN_CANCELLED_REASON_TIMEOUT else ended

    def _read(self, number: int, document: Mapping[str, Any]) -> Trial:
        if document["state"] == JOB_STATE_DONE:
            return replace(read(document["result"]["trial"]), number=number)
        tried = point(space_eval(self._space, spec_from_misc(document["misc"])))
        error = ": ".join(map(str, document["misc"]["error"])).strip()
        return Trial(number, tried, {}, (), timedelta(0), error)


def _is_told(document: Mapping[str, Any]) -> bool:
    """Whether a trial ended and all of it is written: hyperopt writes how it ended before what came of it."""
    if document["state"] == JOB_STATE_DONE:
        return "trial" in document["result"]
    return document["state"] == JOB_STATE_ERROR and "error" in document["misc"]


def algorithm(space: JointSpace, method: str) -> Algorithm:
    """The method, after the points of the space that are known; it is asked for one trial at a time, as `fmin` does.

    hyperopt's own `points_to_evaluate` is neither for `SparkTrials` nor for those who ask and tell.
    """
    points = [_drawn(space, candidate) for candidate in space.known]

    def suggest(ids: Sequence[int], domain: Domain, trials: Trials, seed: int) -> Documents:
        (number,) = ids
        if number < len(points):
            return _document(number, points[number], domain, trials)
        return ALGORITHMS[method](ids, domain, trials, seed)

    return suggest


def _drawn(space: JointSpace, candidate: Candidate) -> dict[str, Any]:
    """The candidate as if hyperopt had drawn it from `expression`: of a choice it draws the place."""
    return {name: _place(dimension, value) for name, dimension, value in space.chosen(candidate)}


def _place(dimension: Dimension, value: Value) -> Value:
    if not isinstance(dimension, Choice):
        return value
    return [(type(each), each) for each in dimension.values].index((type(value), value))


def _document(number: int, drawn: Mapping[str, Any], domain: Domain, trials: Trials) -> Documents:
    misc = {
        "tid": number,
        "cmd": domain.cmd,
        "workdir": domain.workdir,
        "idxs": {name: [number] if name in drawn else [] for name in domain.params},
        "vals": {name: [drawn[name]] if name in drawn else [] for name in domain.params},
    }
    documents: Documents = trials.new_trial_docs([number], [None], [domain.new_result()], [misc])
    return documents


def expression(space: JointSpace) -> Any:
    """The space as hyperopt writes it: a choice of families, and a choice within where dimensions depend on one."""
    return hp.choice(FAMILY, [_family(name, dimensions) for name, dimensions in space.families.items()])


def point(drawn: Mapping[str, Any]) -> Candidate:
    """What hyperopt drew from `expression`, as a candidate with real values."""
    return Candidate.of(drawn["family"], _flat(drawn["params"]))


def result(loss: float) -> dict[str, Any]:
    """A loss as hyperopt takes it; its TPE ranks a failure last."""
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
