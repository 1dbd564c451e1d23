"""Findings about the answers of a new version: told, and a limit only where the use case declares one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deployment.rollout.findings import Findings, LoggedAnswers, StepFindings, distance, noise
from deployment.rollout.limits.counts import MetricsReading
from deployment.rollout.state import Phase, Rollout
from deployment.rollout.target import EndpointView
from lakehouse.errors import LakehouseError
from training.use_case.rollout import RolloutPlan

BAKING = Rollout("r", "m", "e", 5, 2, (10,), 600.0, phase=Phase.BAKING, step=0)
MIRRORED = BAKING.at(Phase.MIRRORED, step=-1)


class Target:
    """Endpoint with counted copies."""

    def view(self, rollout: Rollout) -> EndpointView:
        return EndpointView({5: "m-5"})

    def reading(self, rollout: Rollout) -> MetricsReading:
        return MetricsReading({}, None, {("m-5", "same"): 900, ("m-5", "different"): 100, ("m-5", "failed"): 2})


def findings(stable: Any, new: Any, limit: float | None = None) -> Findings:
    target: Any = Target()
    return Findings(target, RolloutPlan(max_prediction_distance=limit), lambda _: LoggedAnswers(stable, new, "log"))


def test_a_distance_is_told_and_is_no_limit_by_itself() -> None:
    draw = np.random.default_rng(0)
    stable, new = draw.uniform(size=500).tolist(), (0.5 * draw.uniform(size=500)).tolist()
    found = findings(stable, new)(BAKING)
    assert found.breach == ""
    assert found.remarks[0].startswith("the distance of its predictions is 0.5")
    assert findings(stable, new, limit=0.2)(BAKING).breach.endswith("over 500 and 500 requests; the limit is 0.2")
    assert findings(stable, stable, limit=0.2)(BAKING).breach == ""


def test_a_declared_limit_without_logged_predictions_is_unjudged_and_a_finding_is_only_told() -> None:
    told = (
        "its predictions are not compared: 30 of the stable version and 3 of the new one are logged, 20 are needed"
        " (log)"
    )
    assert findings([0.1] * 30, [0.1] * 3)(BAKING) == StepFindings(remarks=(told,))
    assert findings([0.1] * 30, [0.1] * 3, limit=0.2)(BAKING) == StepFindings(unjudged=told)
    off = replace(findings([], []), answers=lambda _: LoggedAnswers())
    assert off(BAKING) == StepFindings(), "an endpoint without a log is not told of at each bake"
    off = replace(off, plan=RolloutPlan(max_prediction_distance=0.2))
    assert "(the endpoint logs no requests)" in off(BAKING).unjudged


def test_a_log_that_cannot_be_read_is_told_and_is_no_fault_of_the_version() -> None:
    def broken(_rollout: Rollout) -> LoggedAnswers:
        raise LakehouseError("the payload table cannot be read")

    unread = replace(findings([], []), answers=broken)
    found = unread(BAKING)
    assert (found.breach, found.unjudged) == ("", "")
    assert "(the payload table cannot be read)" in found.remarks[0]


def test_pairs_of_a_shadow_are_counted() -> None:
    told = "of 1,000 copies it answered 100 (10.0%) differently; 2 failed, 0 were dropped"
    assert findings([], [])(MIRRORED) == StepFindings(remarks=(told,))


@pytest.mark.parametrize("size", [30, 300])
def test_samples_of_one_distribution_stay_within_the_noise(size: int) -> None:
    draw = np.random.default_rng(1)
    beyond = [distance(draw.normal(size=size).tolist(), draw.normal(size=size).tolist()) for _ in range(200)]
    assert np.mean(np.asarray(beyond) > noise(size, size)) <= 0.02


def test_classes_are_compared_by_their_shares() -> None:
    assert distance(["red"] * 8 + ["blue"] * 2, ["red"] * 5 + ["blue"] * 5) == pytest.approx(0.3)
