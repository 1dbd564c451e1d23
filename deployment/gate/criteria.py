"""The criteria for a challenger to replace the champion: a pure decision with reasons.

Nothing here reads or writes. A version that cannot be compared is not promoted: NaN, a missing value or a swapped one
fails every criterion.
"""

from collections.abc import Iterator

import numpy as np

from deployment.gate.comparison import format_gain, gain
from deployment.gate.decision import (
    CriterionResult,
    Decision,
    GateState,
    HoldoutRows,
    Scores,
    approval_of,
    comparison_with,
)
from deployment.gate.guards import guards
from lakehouse.wording import format_number
from scoring.predictions import decisions
from training.evaluation.metrics import METRICS
from training.use_case.promotion import PromotionCriteria


def decide(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria, state: GateState
) -> Decision:
    """Compare challenger and champion on the rows of one holdout.

    The challenger must be valid and reach the minimum. Against a champion it must not be worse by more than the
    margin, or must be better by more than it: see `deployment.gate.comparison`. If both predict exactly the same, the
    champion stays. Guards, approval and freeze follow.

    Args:
        rows: rows of the holdout.
        challenger: predictions of the new version.
        champion: predictions of the deployed version; None without a champion.
        policy: promotion criteria of the use case.
        state: expected versions, and the overrides in force.
    """
    reasons = list(_comparable(rows, challenger, champion, state))
    if all(reason.passed for reason in reasons):
        reasons += _good_enough(rows, challenger, champion, policy)
        reasons += guards(rows, challenger, champion, policy)
    reasons += _allowed(policy, state)
    promote = bool(reasons) and all(reason.passed for reason in reasons)
    return Decision(state.challenger, state.champion, rows.fingerprint, promote, tuple(reasons))


def _comparable(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, state: GateState
) -> Iterator[CriterionResult]:
    yield _valid(rows, challenger, state.challenger)
    if state.incomparable:
        yield _approved_without_comparison(state)
    elif champion is not None or state.champion is not None:
        yield _valid(rows, champion, state.champion)
    hashes = [scores.holdout for scores in (challenger, champion) if scores is not None]
    fingerprints = ", ".join(sorted({each[:12] for each in hashes}))
    yield CriterionResult("same holdout", rows.fingerprint[:12], fingerprints, set(hashes) == {rows.fingerprint})


def _approved_without_comparison(state: GateState) -> CriterionResult:
    found = f"{state.incomparable}; {f'approved {state.approved}' if state.approved else 'no approval'}"
    required = "the champion's own features and labels on these rows, or an approval"
    return CriterionResult(comparison_with(state.champion), required, found, bool(state.approved))


def _valid(rows: HoldoutRows, scores: Scores | None, version: int | None) -> CriterionResult:
    name, required = f"valid predictions of version {version}", f"{len(rows.labels)} {rows.task.valid_prediction}"
    if scores is None or scores.version != version:
        found = "none" if scores is None else f"predictions of version {scores.version}"
        return CriterionResult(name, required, found, passed=False)
    if rows.task.has_threshold and not 0 <= scores.threshold <= 1:
        return CriterionResult(
            name, f"{required}, threshold in [0, 1]", f"threshold {format_number(scores.threshold)}", passed=False
        )
    valid, predictions = rows.task.count_valid(scores.predicted, rows.labels), len(scores.predicted)
    return CriterionResult(name, required, f"{valid} of {predictions}", valid == len(rows.labels) == predictions > 0)


def _good_enough(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria
) -> Iterator[CriterionResult]:
    yield _enough_rows(rows, policy)
    yield _minimum(rows, challenger, policy)
    if champion is not None:
        yield _different(rows, challenger, champion)
        yield _gain(rows, challenger, champion, policy)


def _enough_rows(rows: HoldoutRows, policy: PromotionCriteria) -> CriterionResult:
    count = len(rows.labels)
    excluded = f", {rows.excluded} excluded as the champion's training rows" if rows.excluded else ""
    excluded += f", {rows.unanswered} without the champion's features" if rows.unanswered else ""
    return CriterionResult(
        "holdout rows",
        f"at least {policy.min_rows}",
        f"{count}{excluded}",
        count >= policy.min_rows,
        {"rows": count, "excluded": rows.excluded},
        policy.min_rows,
    )


def _minimum(rows: HoldoutRows, challenger: Scores, policy: PromotionCriteria) -> CriterionResult:
    metric, value = METRICS[policy.metric], rows.outcomes(challenger).metric(policy.metric)
    sign = ">=" if metric.greater_is_better else "<="
    return CriterionResult(
        f"minimum {policy.metric}",
        f"{sign} {format_number(policy.minimum)}",
        f"{value:.4f}",
        metric.gain(value, over=policy.minimum) >= 0,
        {f"version {challenger.version}": value},
        policy.minimum,
    )


def _different(rows: HoldoutRows, challenger: Scores, champion: Scores) -> CriterionResult:
    """Require a row with another prediction or another decision."""
    changed = len(rows.labels)
    if challenger.predicted.shape == champion.predicted.shape:
        unequal = challenger.predicted != champion.predicted
        different = unequal if unequal.ndim == 1 else unequal.any(axis=1)
        if rows.task.predicts_classes:
            new, old = (decisions(scores.predicted, scores.threshold) for scores in (challenger, champion))
            different = different | (new != old)
        changed = int(np.sum(different))
    name = f"predictions differ from version {champion.version}"
    return CriterionResult(name, "at least 1 row", f"{changed} rows", changed > 0, {"rows": changed}, 1)


def _gain(rows: HoldoutRows, challenger: Scores, champion: Scores, policy: PromotionCriteria) -> CriterionResult:
    new, old = rows.outcomes(challenger), rows.outcomes(champion)
    limit = policy.margin if policy.test == "superiority" else -policy.margin
    found = gain(policy.metric, new, old, policy.confidence)
    values = {
        f"version {scores.version}": rows.outcomes(scores).metric(policy.metric) for scores in (challenger, champion)
    }
    return CriterionResult(
        f"gain in {policy.metric} over version {champion.version}",
        f"lower bound at {policy.confidence:.0%} above {format_number(limit)}",
        format_gain(found),
        found.low > limit,
        values,
        limit,
        found,
    )


def _allowed(policy: PromotionCriteria, state: GateState) -> Iterator[CriterionResult]:
    if policy.approval == "manual":
        name = approval_of(state.challenger)
        yield CriterionResult(
            name, "after the champion's last change", state.approved or "none", bool(state.approved)
        )
    if state.frozen:
        yield CriterionResult("promotion is not frozen", "not frozen", state.frozen, passed=False)
