"""Whether a challenger may replace the champion: a pure decision with reasons.

Nothing here reads or writes. What cannot be compared is not promoted: every criterion is written so that NaN, a
missing value or a swapped one fails it.
"""

from collections.abc import Iterator

import numpy as np

from deployment.gate.comparison import gain, shown
from deployment.gate.decision import Decision, HoldoutRows, Reason, Scores, Standing, approval_of
from deployment.gate.guards import guards
from lakehouse.arrays import Floats
from training.evaluation.metrics import METRICS, decided
from training.use_case.promotion import PromotionCriteria

SUM_TOLERANCE = 1e-6  # by how much the probabilities of a row's classes may miss 1: single precision


def decide(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria, standing: Standing
) -> Decision:
    """Compare the two on the rows of one holdout.

    The challenger must be valid, reach the minimum, and, where there is a champion, not be worse by more than the
    margin, or be better by more than it: see `deployment.gate.comparison`. A challenger that answers exactly as the
    champion does brings nothing, and the champion stays. Then come the guards, the approval and the freeze.

    Args:
        rows: what both were asked about.
        challenger: what the new version says.
        champion: what the deployed one says, or None where none is.
        policy: the criteria.
        standing: which versions these must be, and what people have said.
    """
    reasons = list(_comparable(rows, challenger, champion, standing))
    if all(reason.passed for reason in reasons):
        reasons += _good_enough(rows, challenger, champion, policy)
        reasons += guards(rows, challenger, champion, policy)
    reasons += _allowed(policy, standing)
    promote = bool(reasons) and all(reason.passed for reason in reasons)
    return Decision(standing.challenger, standing.champion, rows.fingerprint, promote, tuple(reasons))


def _comparable(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, standing: Standing
) -> Iterator[Reason]:
    yield _valid(rows, challenger, standing.challenger)
    if champion is not None or standing.champion is not None:
        yield _valid(rows, champion, standing.champion)
    hashes = [scores.holdout for scores in (challenger, champion) if scores is not None]
    found = ", ".join(sorted({each[:12] for each in hashes}))
    yield Reason("same holdout", rows.fingerprint[:12], found, set(hashes) == {rows.fingerprint})


def _valid(rows: HoldoutRows, scores: Scores | None, version: int | None) -> Reason:
    name, required = f"valid answers of version {version}", f"{len(rows.labels)} {_kind(rows.task)}"
    if scores is None or scores.version != version:
        found = "none" if scores is None else f"those of version {scores.version}"
        return Reason(name, required, found, passed=False)
    if rows.task == "binary" and not 0 <= scores.threshold <= 1:
        return Reason(name, f"{required}, by a threshold in [0, 1]", f"by {scores.threshold:g}", passed=False)
    good, all_ = _good_rows(rows, scores.predicted), len(rows.labels)
    return Reason(name, required, f"{good} of {len(scores.predicted)}", good == all_ == len(scores.predicted) > 0)


def _kind(task: str) -> str:
    return "numbers" if task == "regression" else "probabilities in [0, 1]"


def _good_rows(rows: HoldoutRows, found: Floats) -> int:
    """How many rows have a label and an answer of the task's kind; 0 where the shape is another."""
    if rows.task == "multiclass":
        if found.ndim != 2 or found.shape[1] < 2 or len(found) != len(rows.labels):
            return 0
        sums = np.abs(found.sum(axis=1) - 1) <= SUM_TOLERANCE
        inside = ((found >= 0) & (found <= 1)).all(axis=1) & sums
        return int(np.sum(inside & np.isin(rows.labels, np.arange(found.shape[1]))))
    if found.shape != rows.labels.shape or found.ndim != 1:
        return 0
    if rows.task == "regression":
        return int(np.sum(np.isfinite(found) & np.isfinite(rows.labels)))
    return int(np.sum((found >= 0) & (found <= 1) & np.isin(rows.labels, (0, 1))))


def _good_enough(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria
) -> Iterator[Reason]:
    yield _enough_rows(rows, policy)
    yield _minimum(rows, challenger, policy)
    if champion is not None:
        yield _different(rows, challenger, champion)
        yield _gain(rows, challenger, champion, policy)


def _enough_rows(rows: HoldoutRows, policy: PromotionCriteria) -> Reason:
    count = len(rows.labels)
    left_out = f", and {rows.excluded} left out that the champion was trained on" if rows.excluded else ""
    return Reason(
        "rows of the holdout",
        f"at least {policy.min_rows}",
        f"{count}{left_out}",
        count >= policy.min_rows,
        {"rows": count, "excluded": rows.excluded},
        policy.min_rows,
    )


def _minimum(rows: HoldoutRows, challenger: Scores, policy: PromotionCriteria) -> Reason:
    metric, value = METRICS[policy.metric], rows.outcomes(challenger).metric(policy.metric)
    sign = ">=" if metric.greater_is_better else "<="
    return Reason(
        f"minimum {policy.metric}",
        f"{sign} {policy.minimum:g}",
        f"{value:.4f}",
        metric.gain(value, over=policy.minimum) >= 0,
        {f"version {challenger.version}": value},
        policy.minimum,
    )


def _different(rows: HoldoutRows, challenger: Scores, champion: Scores) -> Reason:
    """Whether any row is answered otherwise: by another prediction, or by another decision on the same one."""
    changed = len(rows.labels)
    if challenger.predicted.shape == champion.predicted.shape:
        unequal = challenger.predicted != champion.predicted
        other = unequal if unequal.ndim == 1 else unequal.any(axis=1)
        if rows.task != "regression":
            one, two = (decided(scores.predicted, scores.threshold) for scores in (challenger, champion))
            other = other | (one != two)
        changed = int(np.sum(other))
    name = f"answers differ from version {champion.version}"
    return Reason(name, "at least 1 row", f"{changed} rows", changed > 0, {"rows": changed}, 1)


def _gain(rows: HoldoutRows, challenger: Scores, champion: Scores, policy: PromotionCriteria) -> Reason:
    new, old = rows.outcomes(challenger), rows.outcomes(champion)
    limit = policy.margin if policy.test == "superiority" else -policy.margin
    found = gain(policy.metric, new, old, policy.confidence)
    values = {
        f"version {scores.version}": rows.outcomes(scores).metric(policy.metric) for scores in (challenger, champion)
    }
    return Reason(
        f"gain in {policy.metric} over version {champion.version}",
        f"lower bound at {policy.confidence:.0%} above {limit:g}",
        shown(found),
        found.low > limit,
        values,
        limit,
        found,
    )


def _allowed(policy: PromotionCriteria, standing: Standing) -> Iterator[Reason]:
    if policy.approval == "manual":
        name = approval_of(standing.challenger)
        yield Reason(name, "after the champion's last change", standing.approved or "none", bool(standing.approved))
    if standing.frozen:
        yield Reason("promotion goes on", "not frozen", standing.frozen, passed=False)
