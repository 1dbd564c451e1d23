"""Findings about the answers of a new version at the end of a bake. They are told; only a declared limit decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deployment.rollout.state import Rollout
from deployment.rollout.target import RolloutTarget
from training.use_case.rollout import RolloutPlan

Answers = Sequence[float | str]  # predictions of one version: numbers, or classes
ReadAnswers = Callable[
    [Rollout], tuple[Answers, Answers]
]  # of the stable and of the new version, since the bake began
LEAST_ANSWERS = 20


@dataclass(frozen=True)
class Findings:
    """Compares the answers of two versions.

    Attributes:
        target: endpoint.
        plan: limits.
        answers: reads logged predictions; empty sequences where the endpoint logs none.
    """

    target: RolloutTarget
    plan: RolloutPlan
    answers: ReadAnswers

    def __call__(self, rollout: Rollout) -> tuple[str, tuple[str, ...]]:
        """The violated limit, or empty; and remarks.

        Raises:
            LakehouseError: Metrics or logged predictions cannot be read.
        """
        remarks = self._pairs(rollout) if rollout.mirroring else ()
        stable, new = self.answers(rollout)
        limit = self.plan.max_prediction_distance
        if min(len(stable), len(new)) < LEAST_ANSWERS:
            unknown = f"its predictions are not compared: {len(new)} are logged, at least {LEAST_ANSWERS} are needed"
            return (unknown, remarks) if limit is not None and not rollout.mirroring else ("", remarks)
        found = distance(stable, new)
        remark = f"the distance of its predictions is {found:.3f}, over {len(stable):,} and {len(new):,} requests"
        if limit is not None and found > limit + noise(len(stable), len(new)):
            return f"{remark}; the limit is {limit:g}", remarks
        return "", (*remarks, remark)

    def _pairs(self, rollout: Rollout) -> tuple[str, ...]:
        """Copies of requests that the two versions answered differently."""
        name = self.target.view(rollout).entities.get(rollout.version, "")
        mirrored = self.target.reading(rollout).mirrored
        same, different, failed, dropped = (
            mirrored.get((name, outcome), 0) for outcome in ("same", "different", "failed", "dropped")
        )
        compared = same + different
        if not compared:
            return ()
        return (
            f"of {compared:,} copies it answered {different:,} ({different / compared:.1%}) differently;"
            f" {failed:,} failed, {dropped:,} were dropped",
        )


def distance(stable: Answers, new: Answers) -> float:
    """Distance of two samples of predictions: Kolmogorov-Smirnov for numbers, total variation for classes.

    >>> distance([0.1, 0.2], [0.1, 0.2]), distance(["a", "b"], ["a", "a"])
    (0.0, 0.5)
    """
    if all(isinstance(each, int | float) for each in (*stable, *new)):
        values = np.sort(np.asarray([*stable, *new], dtype=float))
        shares = [
            np.searchsorted(np.sort(np.asarray(each, dtype=float)), values, side="right") / len(each)
            for each in (stable, new)
        ]
        return float(np.max(np.abs(shares[0] - shares[1])))
    classes = {*map(str, stable), *map(str, new)}
    ours, theirs = [str(each) for each in new], [str(each) for each in stable]
    differences = (abs(ours.count(each) / len(ours) - theirs.count(each) / len(theirs)) for each in classes)
    return sum(differences) / 2


def noise(stable: int, new: int) -> float:
    """Distance of two samples of one distribution that is exceeded in 1 % of the cases (Dvoretzky-Kiefer-Wolfowitz).

    >>> round(noise(1_000, 1_000), 3)
    0.073
    """
    return float(np.sqrt(np.log(2 / 0.01) / 2 * (1 / stable + 1 / new)))
