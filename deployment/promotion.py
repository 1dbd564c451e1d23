"""Whether a challenger may replace the champion: a pure decision with reasons.

Nothing here reads or writes. What cannot be compared is not promoted.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from training.criteria import Promotion
from training.evaluation import METRICS, Floats, Labels

RESAMPLES = 500


@dataclass(frozen=True)
class Scores:
    """What one version says about the rows of one holdout.

    Attributes:
        version: the registered version.
        holdout: SHA-256 of the rows.
        probabilities: (rows,) in [0, 1].
    """

    version: int
    holdout: str
    probabilities: Floats


@dataclass(frozen=True)
class Reason:
    """One criterion: what was required, what was found, and whether that is enough."""

    criterion: str
    required: str
    found: str
    passed: bool


@dataclass(frozen=True)
class Decision:
    """The verdict and every reason for it."""

    challenger: int
    champion: int | None
    promote: bool
    reasons: tuple[Reason, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def digest(self) -> str:
        """SHA-256 of the verdict, as the ledger keeps it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def summary(self) -> str:
        """In one sentence: why."""
        if self.promote:
            return f"version {self.challenger} meets all {len(self.reasons)} criteria"
        return "; ".join(
            f"{r.criterion}: required {r.required}, found {r.found}" for r in self.reasons if not r.passed
        )


def decide(labels: Labels, challenger: Scores, champion: Scores | None, policy: Promotion) -> Decision:
    """Compare the two on the rows of one holdout.

    The challenger must be valid, reach the minimum, and, where there is a champion, not be worse by more than the
    margin: the lower bound of the gain's one-sided bootstrap interval, rows resampled in pairs (Efron & Tibshirani,
    An Introduction to the Bootstrap, 1993), lies above minus the margin. A challenger that answers exactly as the
    champion does brings nothing, and the champion stays.

    Args:
        labels: (rows,) of 0 and 1, in the order of the probabilities.
        challenger: what the new version says.
        champion: what the deployed one says, or None where none is.
        policy: metric, minimum, margin and confidence.
    """
    reasons = tuple(_reasons(labels, challenger, champion, policy))
    promote = bool(reasons) and all(reason.passed for reason in reasons)
    return Decision(challenger.version, champion.version if champion else None, promote, reasons)


def _reasons(labels: Labels, challenger: Scores, champion: Scores | None, policy: Promotion) -> Iterator[Reason]:
    for scores in (challenger, champion):
        if scores is not None:
            valid = _valid(labels, scores)
            yield valid
            if not valid.passed:
                return
    yield _minimum(labels, challenger, policy)
    if champion is not None:
        same_rows = Reason(
            "same holdout", champion.holdout[:12], challenger.holdout[:12], challenger.holdout == champion.holdout
        )
        yield same_rows
        if same_rows.passed:
            yield _different(challenger, champion)
            yield _non_inferiority(labels, challenger, champion, policy)


def _valid(labels: Labels, scores: Scores) -> Reason:
    found = scores.probabilities
    # Written so that NaN fails it.
    inside = int(np.sum((found >= 0) & (found <= 1)))
    return Reason(
        f"valid probabilities of version {scores.version}",
        f"{len(labels)} in [0, 1]",
        f"{inside} of {len(found)}",
        found.shape == labels.shape and inside == len(labels) > 0,
    )


def _minimum(labels: Labels, challenger: Scores, policy: Promotion) -> Reason:
    metric = METRICS[policy.metric]
    value = metric.function(labels, challenger.probabilities, 0.5)
    sign = ">=" if metric.greater_is_better else "<="
    return Reason(
        f"minimum {policy.metric}",
        f"{sign} {policy.minimum:g}",
        f"{value:.4f}",
        metric.gain(value, over=policy.minimum) >= 0,
    )


def _different(challenger: Scores, champion: Scores) -> Reason:
    changed = int(np.sum(challenger.probabilities != champion.probabilities))
    return Reason(f"answers differ from version {champion.version}", "at least 1 row", f"{changed} rows", changed > 0)


def _non_inferiority(labels: Labels, challenger: Scores, champion: Scores, policy: Promotion) -> Reason:
    metric = METRICS[policy.metric]
    values = [metric.function(labels, scores.probabilities, 0.5) for scores in (challenger, champion)]
    bound = float(np.quantile(_gains(labels, challenger, champion, policy), 1 - policy.confidence))
    return Reason(
        f"gain in {policy.metric} over version {champion.version}",
        f"lower bound at {policy.confidence:.0%} above {-policy.margin:g}",
        f"{metric.gain(values[0], over=values[1]):+.4f}, lower bound {bound:+.4f}",
        bound > -policy.margin,
    )


def _gains(labels: Labels, challenger: Scores, champion: Scores, policy: Promotion) -> Floats:
    metric = METRICS[policy.metric]
    draw = np.random.default_rng(0)
    gains = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        rows = draw.integers(0, len(labels), len(labels))
        new, old = (
            metric.function(labels[rows], scores.probabilities[rows], 0.5) for scores in (challenger, champion)
        )
        gains[i] = metric.gain(new, over=old)
    return gains
