"""Findings about the answers of a new version: told, and a limit only where the use case declares one."""

from typing import Any

import numpy as np
import pytest

from deployment.rollout.counts import MetricsReading
from deployment.rollout.findings import Findings, distance, noise
from deployment.rollout.state import Phase, Rollout
from deployment.rollout.target import EndpointView
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
    return Findings(target, RolloutPlan(max_prediction_distance=limit), lambda _: (stable, new))


def test_a_distance_is_told_and_is_no_limit_by_itself() -> None:
    draw = np.random.default_rng(0)
    stable, new = draw.uniform(size=500).tolist(), (0.5 * draw.uniform(size=500)).tolist()
    violated, remarks = findings(stable, new)(BAKING)
    assert violated == ""
    assert remarks[0].startswith("the distance of its predictions is 0.5")
    assert findings(stable, new, limit=0.2)(BAKING)[0].endswith("over 500 and 500 requests; the limit is 0.2")
    assert findings(stable, stable, limit=0.2)(BAKING)[0] == ""


def test_a_declared_limit_without_logged_predictions_is_violated() -> None:
    assert findings([], [])(BAKING) == ("", ())
    assert "0 are logged, at least 20 are needed" in findings([], [], limit=0.2)(BAKING)[0]


def test_pairs_of_a_shadow_are_counted() -> None:
    told = "of 1,000 copies it answered 100 (10.0%) differently; 2 failed, 0 were dropped"
    assert findings([], [])(MIRRORED) == ("", (told,))


@pytest.mark.parametrize("size", [30, 300])
def test_samples_of_one_distribution_stay_within_the_noise(size: int) -> None:
    draw = np.random.default_rng(1)
    beyond = [distance(draw.normal(size=size).tolist(), draw.normal(size=size).tolist()) for _ in range(200)]
    assert np.mean(np.asarray(beyond) > noise(size, size)) <= 0.02


def test_classes_are_compared_by_their_shares() -> None:
    assert distance(["red"] * 8 + ["blue"] * 2, ["red"] * 5 + ["blue"] * 5) == pytest.approx(0.3)
