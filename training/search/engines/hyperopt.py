"""Search by hyperopt. No other module imports it."""

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
from training.search.record import from_json
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
SEEDS = 2**31 - 1  # upper bound of the seed that `fmin` draws for each proposal


class Hyperopt:
    """Ask and tell around `algorithm`; proposals equal those of hyperopt's `fmin` for the same seed and losses."""

    def __init__(self, space: JointSpace, method: str, seed: int) -> None:
        self._space = hyperopt_space(space)
        self._algorithm = algorithm(space, method)
        self._domain = Domain(lambda _point: 0.0, self._space)
        self._trials = Trials()
        self._draws = np.random.default_rng(seed)
        self._positions: dict[int, int] = {}

    def ask(self, number: int) -> Candidate | None:
        ids = self._trials.new_trial_ids(1)
        self._trials.refresh()
        documents = self._algorithm(ids, self._domain, self._trials, int(self._draws.integers(SEEDS)))
        self._positions[number] = len(self._trials._dynamic_trials)
        self._trials.insert_trial_docs(documents)
        self._trials.refresh()
        return to_candidate(space_eval(self._space, spec_from_misc(documents[0]["misc"])))

    def tell(self, number: int, loss: float) -> None:
        document = self._trials._dynamic_trials[self._positions.pop(number)]
        document["state"], document["result"] = JOB_STATE_DONE, to_result(loss)
        self._trials.refresh()


def fmin_on_spark(
    plan: SearchPlan,
    attempt_file: AttemptFile,
    session: "SparkSession",
    record: OnTrial,
    seconds: float | None,
) -> SearchResult:
    """Search by `fmin` with `SparkTrials`: each trial is a Spark job, in an order that Spark decides.

    Args:
        session: a classic session; `SparkTrials` does not support Spark Connect.
        seconds: time limit, or None.

    Raises:
        PayloadTooLarge: the workers do not see the file, and it is too large to travel.
    """
    metric, joint = plan.metric, plan.joint_space()
    space = hyperopt_space(joint)
    if not session.sparkContext.parallelize([0], 1).map(lambda _row: attempt_file.is_visible()).first():
        attempt_file = attempt_file.with_content()

    def objective(drawn: Mapping[str, Any]) -> dict[str, Any]:
        trial = attempt_file.run(TrialSpec(0, to_candidate(drawn)))
        return to_result(from_json(trial).loss(metric)) | {"trial": trial}

    trials = SparkTrials(plan.parallelism, timeout=seconds, spark_session=session)
    listener = _TrialListener(space, record)
    stop_reason: StopReason = "complete"
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
                early_stop_fn=listener.listen,
                show_progressbar=False,
                return_argmin=False,
                verbose=False,
            )
    except AllTrialsFailed:
        pass  # `SearchResult.best` raises
    except KeyboardInterrupt:
        stop_reason = "interrupted"
    listener.take(trials)
    ordered = tuple(listener.trials[number] for number in sorted(listener.trials))
    return SearchResult(ordered, listener.stop_reason(trials, stop_reason))


class _TrialListener:
    """Collects the trials of `SparkTrials`, which calls from its own thread and must not see an exception."""

    def __init__(self, space: Any, record: OnTrial) -> None:
        self.trials: dict[int, Trial] = {}
        self._space, self._record = space, record
        self._failure: Exception | None = None

    def listen(self, trials: Trials, *_: object) -> tuple[bool, tuple[object, ...]]:
        """Take new trials; return True to stop."""
        try:
            self.take(trials)
        except Exception as err:  # noqa: BLE001  (raised by `stop_reason`)
            self._failure = err
        return self._failure is not None, ()

    def take(self, trials: Trials) -> None:
        for document in list(trials._dynamic_trials):
            number = document["tid"] + 1
            if number not in self.trials and _is_complete(document):
                self.trials[number] = self._read(number, document)
                self._record(self.trials[number])

    def stop_reason(self, trials: SparkTrials, reason: StopReason) -> StopReason:
        """Why the search stopped; raises an error that occurred while listening."""
        if self._failure is not None:
            raise self._failure
        return "out_of_time" if trials.fmin_cancelled_reason == FMIN_CANCELLED_REASON_TIMEOUT else reason

    def _read(self, number: int, document: Mapping[str, Any]) -> Trial:
        if document["state"] == JOB_STATE_DONE:
            return replace(from_json(document["result"]["trial"]), number=number)
        candidate = to_candidate(space_eval(self._space, spec_from_misc(document["misc"])))
        error = ": ".join(map(str, document["misc"]["error"])).strip()
        return Trial(number, candidate, {}, (), timedelta(0), error)


def _is_complete(document: Mapping[str, Any]) -> bool:
    """True if a trial ended and its result is written: hyperopt writes the state before the result."""
    if document["state"] == JOB_STATE_DONE:
        return "trial" in document["result"]
    return document["state"] == JOB_STATE_ERROR and "error" in document["misc"]


def algorithm(space: JointSpace, method: str) -> Algorithm:
    """The initial points of the space, then the method; called for one trial at a time, as by `fmin`.

    hyperopt's `points_to_evaluate` works neither with `SparkTrials` nor with ask and tell.
    """
    points = [_drawn(space, candidate) for candidate in space.initial]

    def suggest(ids: Sequence[int], domain: Domain, trials: Trials, seed: int) -> Documents:
        (number,) = ids
        if number < len(points):
            return _document(number, points[number], domain, trials)
        return ALGORITHMS[method](ids, domain, trials, seed)

    return suggest


def _drawn(space: JointSpace, candidate: Candidate) -> dict[str, Any]:
    """The candidate as hyperopt draws it from `hyperopt_space`: a choice as the index of its value."""
    return {name: _draw(dimension, value) for name, dimension, value in space.choices(candidate)}


def _draw(dimension: Dimension, value: Value) -> Value:
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


def hyperopt_space(space: JointSpace) -> Any:
    """The space in hyperopt's terms: a choice of families, with nested choices for conditions."""
    return hp.choice(FAMILY, [_family(name, dimensions) for name, dimensions in space.families.items()])


def to_candidate(drawn: Mapping[str, Any]) -> Candidate:
    """Turn a draw from `hyperopt_space` into a candidate with real values."""
    return Candidate.of(drawn["family"], _flat(drawn["params"]))


def to_result(loss: float) -> dict[str, Any]:
    """A loss as hyperopt expects it; its TPE ranks a failure last."""
    return {"status": STATUS_OK, "loss": loss} if np.isfinite(loss) else {"status": STATUS_FAIL}


def _family(family: str, space: Space) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    # In reverse order: a dimension that depends on a choice comes after it, and becomes part of it.
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
    """Convert numpy scalars to Python types, for trackers and files."""
    plain: Value = value.item() if isinstance(value, np.generic) else value
    return plain


_: type[Proposer] = Hyperopt
