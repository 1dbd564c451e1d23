"""The loop: the same trials however they end, resumed as if never interrupted, and poor ones stopped early."""

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
from training.search.pruning import WARM_UP, MedianRule, PruningThreshold
from training.search.result import SearchFailed, SearchResult
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate, JointSpace
from training.space.space import Params
from training.use_case.search import Engine

SPACE = JointSpace({name: FAMILIES[name].space for name in ("logistic_regression", "knn")})


def loop(
    attempt: Callable[[TrialSpec], Trial],
    terms: SearchLimits,
    finished: Sequence[Trial] = (),
    engine: Engine = "hyperopt",
) -> SearchResult:
    told = proposer(SPACE, method="tpe", engine=engine, max_evals=terms.trials, seed=11)
    executor = InProcess(attempt)
    return Loop(told, executor, terms, lambda _trial: None, {trial.number: trial for trial in finished}).run()


@pytest.mark.parametrize("engine", ["hyperopt", "optuna"])
@pytest.mark.parametrize("ahead", [1, 4])
@pytest.mark.parametrize("kept", [[], [1], list(range(1, 24)), [*range(1, 20), 21, 22], list(range(1, 31))])
def test_a_resumed_search_is_as_if_never_interrupted(
    tmp_path: Path, engine: Engine, ahead: int, kept: list[int]
) -> None:
    terms = SearchLimits("roc_auc", trials=30, ahead=ahead)
    whole = loop(Smooth(tmp_path), terms, engine=engine)
    ran: list[int] = []

    def attempt(task: TrialSpec) -> Trial:
        ran.append(task.number)
        return scored(task, smooth(task))

    resumed = loop(attempt, terms, [trial for trial in whole.trials if trial.number in kept], engine)
    assert resumed == whole
    assert sorted([*ran, *kept]) == list(range(1, 31))


def test_ctrl_c_ends_with_what_was_found() -> None:
    def attempt(task: TrialSpec) -> Trial:
        if task.number == 5:
            raise KeyboardInterrupt
        return scored(task, task.number / 10)

    found = loop(attempt, SearchLimits("roc_auc", trials=30))
    assert (found.stop_reason, [trial.number for trial in found.trials]) == ("interrupted", [1, 2, 3, 4])
    assert found.best("roc_auc").number == 4


def test_a_trial_that_this_search_would_not_propose_is_refused(tmp_path: Path) -> None:
    strange = scored(TrialSpec(2, Candidate("knn", {"n_neighbors": 4})), 0.5)
    with pytest.raises(ResumeRefused, match=r"trial 2 was knn \(n_neighbors 4\), and the search now proposes"):
        loop(Smooth(tmp_path), SearchLimits("roc_auc", trials=5), [strange])


def test_a_search_without_time_says_so(tmp_path: Path) -> None:
    found = loop(Smooth(tmp_path), SearchLimits("roc_auc", trials=5, seconds=0.0))
    assert (found.stop_reason, found.trials) == ("out_of_time", ())
    with pytest.raises(SearchFailed, match=r"ended before its first trial did\n.*--max-minutes"):
        found.best("roc_auc")


def by_fold(task: TrialSpec, losses: Sequence[float], folds: int) -> Trial:
    per_fold = tuple({"log_loss": value} for value in losses)
    whole = len(losses) == folds
    means = {"log_loss": sum(losses) / folds} if whole else {}
    stopped = None if whole else "pruned"
    error = None if whole else "behind"
    return Trial(task.number, task.candidate, means, per_fold, timedelta(0), error, stopped)  # type: ignore[arg-type]


def test_the_bar_is_the_median_of_those_that_came_to_their_end() -> None:
    rule = MedianRule("log_loss")
    for loss in range(1, WARM_UP + 2):
        assert (rule.bar() is None) == (loss <= WARM_UP)
        rule.learn((loss, 3 * loss))
    bar = rule.bar()
    assert bar == PruningThreshold("log_loss", (5.0, 10.0), 9)
    assert bar.behind([{"log_loss": 5.0}]) is None
    assert (
        bar.behind([{"log_loss": 5.1}])
        == "log_loss 5.1000 after 1 of 2 folds is behind 5.0000, the median of 9 trials"
    )
    assert bar.behind([{"log_loss": float("nan")}]) == "log_loss after 1 of 2 folds is no number"
    assert bar.behind([{"log_loss": 99.0}, {"log_loss": 99.0}]) is None  # it is through
    assert rule.estimate((7.0,)) == 10 + 7 - 5


def test_a_poor_trial_stops_after_the_fold_that_shows_it() -> None:
    folds = list(splits.folds(alternating(80), by_time(folds=3), 0))
    params: Params = {"n_neighbors": 5, "weights": "uniform", "distance": "euclidean", "numeric_shape": "as_is"}
    task = TrialSpec(3, Candidate("knn", params), PruningThreshold("roc_auc", (-0.1, -1.1, -1.1), 9))
    stopped = Attempt(folds, 0, 0.5)(task)
    assert (stopped.status, len(stopped.per_fold), stopped.metrics) == ("pruned", 2, {})
    assert stopped.loss("roc_auc") == float("inf")
    assert "the median of 9 trials" in str(stopped.error)
    assert (
        Attempt(folds, 0, 0.5)(TrialSpec(3, task.candidate, PruningThreshold("roc_auc", (0, 0, -2), 9))).status
        == "ok"
    )


def test_a_search_that_prunes_tries_fewer_folds_and_repeats_itself() -> None:
    ran: list[int] = []

    def attempt(task: TrialSpec) -> Trial:
        value = 1 - smooth(task)
        for tried in range(1, 4):
            if tried < 3 and task.bar and task.bar.behind([{"log_loss": value}] * tried):
                ran.append(tried)
                return by_fold(task, [value] * tried, 3)
        ran.append(3)
        return by_fold(task, [value] * 3, 3)

    terms = SearchLimits("log_loss", trials=60, prune=True)
    found = loop(attempt, terms)
    pruned = [trial for trial in found.trials if trial.status == "pruned"]
    assert len(pruned) > 5
    assert ran[:WARM_UP] == [3] * WARM_UP
    assert loop(attempt, terms) == found
    assert found.best("log_loss").loss("log_loss") == min(trial.per_fold[0]["log_loss"] for trial in found.trials)
    assert loop(attempt, terms, found.trials[:25]) == found
