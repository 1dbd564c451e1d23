"""Successive halving: networks are compared with earlier ones of their kind after as many epochs."""

from datetime import timedelta

import numpy as np
import pytest

from tests.unit.search.attempts import smooth
from training.models import FAMILIES
from training.networks.rungs import FitStopped
from training.search import record
from training.search.engines.factory import proposer
from training.search.executors.in_process import InProcess
from training.search.loop import Loop, SearchLimits
from training.search.pruning.halving import WARM_UP, HalvingRule, HalvingWatch, RungLimits
from training.search.pruning.medians import MedianRule
from training.search.result import SearchResult
from training.search.trial import Trial, TrialSpec
from training.space.joint_space import Candidate, JointSpace

MLP = Candidate("mlp", {"max_epochs": 16})
LABELS, BACKWARDS = np.array([0, 1]), np.array([0.9, 0.1])


def test_the_limit_of_a_rung_is_the_median_of_networks_of_the_kind_that_reached_it() -> None:
    rule = HalvingRule("log_loss")
    for number in range(WARM_UP):
        assert rule.limits(MLP) == RungLimits("log_loss")
        rule.observe(MLP, (float(number), 0.5)[: 2 if number else 1])
    assert rule.limits(MLP) == RungLimits("log_loss", (1.5,), (4,))
    rule.observe(MLP, (float("nan"), 0.7))
    assert rule.limits(MLP) == RungLimits("log_loss", (1.5, 0.5), (4, 4))
    for other in (Candidate("mlp", {"max_epochs": 32}), Candidate("keras_mlp", {"max_epochs": 16})):
        assert rule.limits(other) == RungLimits("log_loss")


def test_a_fit_stops_at_the_rung_whose_limit_it_is_above() -> None:
    watch = HalvingWatch(RungLimits("roc_auc", (0.0, -0.5), (4, 4)), threshold=0.5)
    watch.reach(LABELS, BACKWARDS)  # a loss at the limit is not above it
    with pytest.raises(FitStopped) as stopped:
        watch.reach(LABELS, BACKWARDS)
    assert str(stopped.value) == (
        "roc_auc 0.0000 on validation rows after 4 epochs is worse than 0.5000, the median of 4 networks"
    )
    watch.reach(LABELS, BACKWARDS)  # no limit yet
    assert watch.losses == [0.0, 0.0, 0.0]


def test_a_trial_without_a_fold_is_estimated_as_the_worst_complete_one() -> None:
    rule = MedianRule("log_loss")
    assert rule.estimate(()) == float("inf")
    rule.observe((1.0, 3.0))
    rule.observe((1.0, 2.0))
    assert rule.estimate(()) == 2.0


def network(spec: TrialSpec) -> Trial:
    """A trial whose loss at each of three rungs is that of its candidate, and may stop it."""
    value = 1 - smooth(spec)
    limits = spec.rungs.losses if spec.rungs else ()
    stopped_at = next((rung for rung, limit in enumerate(limits) if value > limit), None)
    if stopped_at is not None:
        rungs = (value,) * (stopped_at + 1)
        return Trial(spec.number, spec.candidate, {}, (), timedelta(0), "worse", "pruned", rungs=rungs)
    metrics = {"log_loss": value}
    return Trial(spec.number, spec.candidate, metrics, (metrics,) * 3, timedelta(0), rungs=(value,) * 3)


@pytest.mark.parametrize("lookahead", [1, 3])
def test_a_halving_search_stops_poor_networks_and_resumes_without_a_difference(lookahead: int) -> None:
    def search(finished: tuple[Trial, ...] = ()) -> SearchResult:
        space = JointSpace({"mlp": FAMILIES["mlp"].space})
        proposals = proposer(space, method="tpe", engine="hyperopt", max_evals=30, seed=3)
        limits = SearchLimits("log_loss", trials=30, lookahead=lookahead, prune=True)
        recorded = {trial.number: record.from_json(record.to_json(trial)) for trial in finished}
        return Loop(proposals, InProcess(network), limits, lambda _trial: None, recorded).run()

    result = search()
    pruned = [trial for trial in result.trials if trial.status == "pruned"]
    assert len(pruned) > 5
    assert all(trial.number > WARM_UP for trial in pruned)
    assert search(result.trials[:17]) == result
