"""The loop: the same trials in any order of ending, resumed without a difference, and poor ones pruned."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.frames import alternating, by_time
from tests.unit.search.attempts import Smooth, scored, smooth
from training.frame import splits
from training.models import FAMILIES
from training.search.engines.factory import proposer
from training.search.executors.in_process import InProcess
from training.search.loop import Loop, ResumeRefused, SearchLimits
from training.search.pruning.medians import WARM_UP, MedianRule, PruningThreshold
from training.search.result import SearchFailed, SearchResult
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Params
from training.use_case.search_words import Engine

SPACE = JointSpace({name: FAMILIES[name].space for name in ("logistic_regression", "knn")})


def loop(
    attempt: Callable[[TrialSpec], Trial],
    limits: SearchLimits,
    finished: Sequence[Trial] = (),
    engine: Engine = "hyperopt",
) -> SearchResult:
    proposals = proposer(SPACE, method="tpe", engine=engine, max_evals=limits.trials, seed=11)
    executor = InProcess(attempt)
    return Loop(proposals, executor, limits, lambda _trial: None, {trial.number: trial for trial in finished}).run()


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
@pytest.mark.parametrize("lookahead", [1, 4])
@pytest.mark.parametrize("kept", [[], [1], list(range(1, 24)), [*range(1, 20), 21, 22], list(range(1, 31))])
def test_a_resumed_search_equals_an_uninterrupted_one(
    tmp_path: Path, engine: Engine, lookahead: int, kept: list[int]
) -> None:
    limits = SearchLimits("roc_auc", trials=30, lookahead=lookahead)
    complete = loop(Smooth(tmp_path), limits, engine=engine)
    ran: list[int] = []

    def attempt(spec: TrialSpec) -> Trial:
        ran.append(spec.number)
        return scored(spec, smooth(spec))

    resumed = loop(attempt, limits, [trial for trial in complete.trials if trial.number in kept], engine)
    assert resumed == complete
    assert sorted([*ran, *kept]) == list(range(1, 31))


def test_ctrl_c_returns_the_trials_so_far() -> None:
    def attempt(spec: TrialSpec) -> Trial:
        if spec.number == 5:
            raise KeyboardInterrupt
        return scored(spec, spec.number / 10)

    result = loop(attempt, SearchLimits("roc_auc", trials=30))
    assert (result.stop_reason, [trial.number for trial in result.trials]) == ("interrupted", [1, 2, 3, 4])
    assert result.best("roc_auc").number == 4


def test_resuming_with_a_trial_of_another_search_is_refused(tmp_path: Path) -> None:
    foreign = scored(TrialSpec(2, Candidate("knn", {"n_neighbors": 4})), 0.5)
    with pytest.raises(ResumeRefused, match=r"trial 2 was knn \(n_neighbors 4\), and the search now proposes"):
        loop(Smooth(tmp_path), SearchLimits("roc_auc", trials=5), [foreign])


def test_a_search_without_time_fails_with_a_hint(tmp_path: Path) -> None:
    result = loop(Smooth(tmp_path), SearchLimits("roc_auc", trials=5, seconds=0.0))
    assert (result.stop_reason, result.trials) == ("out_of_time", ())
    with pytest.raises(SearchFailed, match=r"ended before its first trial\n.*--max-minutes"):
        result.best("roc_auc")


def by_fold(spec: TrialSpec, losses: Sequence[float], folds: int) -> Trial:
    per_fold = tuple({"log_loss": value} for value in losses)
    complete = len(losses) == folds
    means = {"log_loss": sum(losses) / folds} if complete else {}
    stopped = None if complete else "pruned"
    error = None if complete else "worse"
    return Trial(spec.number, spec.candidate, means, per_fold, timedelta(0), error, stopped)  # type: ignore[arg-type]


def test_the_threshold_is_the_median_of_complete_trials() -> None:
    rule = MedianRule("log_loss")
    for loss in range(1, WARM_UP + 2):
        assert (rule.threshold() is None) == (loss <= WARM_UP)
        rule.observe((loss, 3 * loss))
    threshold = rule.threshold()
    assert threshold == PruningThreshold("log_loss", (5.0, 10.0), 9)
    assert threshold.pruning_reason([{"log_loss": 5.0}]) is None
    assert (
        threshold.pruning_reason([{"log_loss": 5.1}])
        == "log_loss 5.1000 after 1 of 2 folds is worse than 5.0000, the median of 9 trials"
    )
    assert threshold.pruning_reason([{"log_loss": float("nan")}]) == "log_loss is not a number after 1 of 2 folds"
    assert threshold.pruning_reason([{"log_loss": 99.0}, {"log_loss": 99.0}]) is None  # all folds are scored
    assert rule.estimate((7.0,)) == 10 + 7 - 5


def test_a_poor_trial_is_pruned_after_a_fold_over_the_threshold() -> None:
    folds = list(splits.folds(alternating(80), by_time(folds=3), 0))
    params: Params = {"n_neighbors": 5, "weights": "uniform", "distance": "euclidean", "numeric_shape": "as_is"}
    spec = TrialSpec(3, Candidate("knn", params), PruningThreshold("roc_auc", (-0.1, -1.1, -1.1), 9))
    stopped = Attempt(folds, 0, 0.5)(spec)
    assert (stopped.status, len(stopped.per_fold), stopped.metrics) == ("pruned", 2, {})
    assert stopped.loss("roc_auc") == float("inf")
    assert "the median of 9 trials" in str(stopped.error)
    assert (
        Attempt(folds, 0, 0.5)(TrialSpec(3, spec.candidate, PruningThreshold("roc_auc", (0, 0, -2), 9))).status
        == "ok"
    )


def test_a_pruning_search_scores_fewer_folds_and_is_repeatable() -> None:
    ran: list[int] = []

    def attempt(spec: TrialSpec) -> Trial:
        value = 1 - smooth(spec)
        for tried in range(1, 4):
            if tried < 3 and spec.threshold and spec.threshold.pruning_reason([{"log_loss": value}] * tried):
                ran.append(tried)
                return by_fold(spec, [value] * tried, 3)
        ran.append(3)
        return by_fold(spec, [value] * 3, 3)

    limits = SearchLimits("log_loss", trials=60, prune=True)
    result = loop(attempt, limits)
    pruned = [trial for trial in result.trials if trial.status == "pruned"]
    assert len(pruned) > 5
    assert ran[:WARM_UP] == [3] * WARM_UP
    assert loop(attempt, limits) == result
    assert result.best("log_loss").loss("log_loss") == min(trial.per_fold[0]["log_loss"] for trial in result.trials)
    assert loop(attempt, limits, result.trials[:25]) == result
