"""Findings about the answers of a new version at the end of a bake. They are told; only a declared limit decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deployment.rollout.state import Rollout
from deployment.rollout.target import RolloutTarget
from lakehouse.errors import LakehouseError
from training.use_case.rollout import RolloutPlan

Answers = Sequence[float | str]  # predictions of one version: numbers, or classes
LEAST_ANSWERS = 20


@dataclass(frozen=True)
class LoggedAnswers:
    """Predictions of two versions since a step began.

    Attributes:
        stable, new: predictions of the stable and of the new version.
        log: state of the log where it explains that there are few; empty if the endpoint logs nothing.
    """

    stable: Answers = ()
    new: Answers = ()
    log: str = ""


@dataclass(frozen=True)
class StepFindings:
    """Findings about the predictions of a step.

    Attributes:
        breach: declared limit that they violate; empty without one.
        unjudged: reason why a declared limit cannot be judged; empty if it can, or there is none.
        remarks: what is told.
    """

    breach: str = ""
    unjudged: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """Compares the answers of two versions.

    Attributes:
        target: endpoint.
        plan: limits.
        answers: reads logged predictions.
    """

    target: RolloutTarget
    plan: RolloutPlan
    answers: Callable[[Rollout], LoggedAnswers]

    def __call__(self, rollout: Rollout) -> StepFindings:
        """Compare the predictions of a step. A log that cannot be read is told of, since it is no fault of a version.

        Raises:
            LakehouseError: Metrics cannot be read.
        """
        remarks = self._pairs(rollout) if rollout.mirroring else ()
        limit = None if rollout.mirroring else self.plan.max_prediction_distance
        try:
            answers = self.answers(rollout)
        except LakehouseError as err:
            answers = LoggedAnswers(log=err.failed)
        counts = len(answers.stable), len(answers.new)
        if min(counts) < LEAST_ANSWERS:
            log = answers.log or "the endpoint logs no requests"
            logged = f"{counts[0]:,} of the stable version and {counts[1]:,} of the new one are logged"
            unknown = f"its predictions are not compared: {logged}, {LEAST_ANSWERS} are needed ({log})"
            if limit is not None:
                return StepFindings(unjudged=unknown, remarks=remarks)
            return StepFindings(remarks=(*remarks, unknown) if answers.log and not rollout.mirroring else remarks)
        found = distance(answers.stable, answers.new)
        remark = f"the distance of its predictions is {found:.3f}, over {counts[0]:,} and {counts[1]:,} requests"
        if limit is not None and found > limit + noise(*counts):
            return StepFindings(breach=f"{remark}; the limit is {limit:g}", remarks=remarks)
        return StepFindings(remarks=(*remarks, remark))

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
