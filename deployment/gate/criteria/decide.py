"""The criteria for a challenger to replace the champion: a pure decision with reasons.

Nothing here reads or writes. A version that cannot be compared is not promoted: NaN, a missing value or a swapped one
fails every criterion.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from deployment.gate.criteria.comparison import draws_of, format_gain, format_share, gain, spent
from deployment.gate.criteria.decision import (
    CriterionResult,
    Decision,
    FormerChampion,
    GateState,
    HoldoutAttempt,
    HoldoutRows,
    Scores,
    approval_of,
    comparison_with,
)
from deployment.gate.criteria.guards import guards
from lakehouse.wording import format_number, number_of
from scoring.predictions import decisions, values
from training.evaluation.metrics import METRICS
from training.evaluation.resampling import format_draws
from training.use_case.promotion import PromotionCriteria

ATTEMPT = "error rate of this attempt"
BEST_FORMER_CHAMPION = ", the best former champion"  # ends the criterion's name


def decide(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria, state: GateState
) -> Decision:
    """Compare challenger and champion on the rows of one holdout.

    The challenger must be valid and reach the minimum. Against a champion it must not be worse by more than the
    margin, or must be better by more than it: see `deployment.gate.criteria.comparison`. It must also not be worse by
    more than the margin than the best former champion, or small losses would add up. If challenger and champion
    predict exactly the same, the champion stays. Guards, approval and freeze follow.

    Args:
        rows: rows of the holdout.
        challenger: predictions of the new version.
        champion: predictions of the deployed version; None without a champion.
        policy: promotion criteria of the use case.
        state: expected versions, and the overrides in force.
    """
    reasons = list(_comparable(rows, challenger, champion, state))
    if all(reason.passed for reason in reasons):
        reasons += _good_enough(rows, challenger, champion, policy, state)
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
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria, state: GateState
) -> Iterator[CriterionResult]:
    yield _enough_rows(rows, policy)
    yield _minimum(rows, challenger, policy)
    yield _varied(rows, challenger)
    if champion is not None:
        yield _different(rows, challenger, champion)
        yield _attempt(state.attempt, policy)
        confidence = spent(policy.confidence, state.attempt.number)
        limit = policy.margin if policy.test == "superiority" else -policy.margin
        yield _gain(rows, (challenger, champion), policy.metric, confidence, limit)
        yield from _former(rows, challenger, state.former, policy, confidence)


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


def _varied(rows: HoldoutRows, challenger: Scores) -> CriterionResult:
    """Require predictions that differ between rows: a constant answer knows nothing of its input."""
    predicted = challenger.predicted if rows.task.predicts_classes else values(challenger.predicted)
    distinct = len(np.unique(predicted, axis=0))
    return CriterionResult(
        "predictions differ between rows",
        "at least 2 distinct",
        f"{distinct:,}",
        distinct > 1,
        {f"version {challenger.version}": distinct},
        2,
    )


def _attempt(attempt: HoldoutAttempt, policy: PromotionCriteria) -> CriterionResult:
    """State the error rate of this attempt. It decides nothing by itself: the bounds of the gains follow from it."""
    error = 1 - spent(policy.confidence, attempt.number)
    after = f", after {number_of('comparison', len(attempt.earlier))} on these rows" if attempt.earlier else ""
    return CriterionResult(
        ATTEMPT,
        f"{format_share(1 - policy.confidence)} for all attempts on a row together",
        f"{format_share(error)} for attempt {attempt.number}{after}",
        passed=True,
        values={"attempt": attempt.number, "error rate": error},
    )


def _gain(
    rows: HoldoutRows, versions: tuple[Scores, Scores], metric: str, confidence: float, limit: float
) -> CriterionResult:
    """Require a lower bound of the first version's gain over the second that is above the limit."""
    new, old = (rows.outcomes(scores) for scores in versions)
    found = gain(metric, new, old, confidence)
    return CriterionResult(
        f"gain in {metric} over version {versions[1].version}",
        f"lower bound above {format_number(limit)} at an error rate of {format_share(1 - confidence)}",
        f"{format_gain(found)}; drawn: {format_draws(draws_of(new, old))}",
        found.low > limit,
        {f"version {scores.version}": rows.outcomes(scores).metric(metric) for scores in versions},
        limit,
        found,
    )


def _former(
    rows: HoldoutRows, challenger: Scores, former: FormerChampion, policy: PromotionCriteria, confidence: float
) -> Iterator[CriterionResult]:
    """Require non-inferiority to the best former champion that predicts these rows; name the others."""
    unusable = list(former.unusable)
    if former.scores is not None:
        valid = _valid(rows, former.scores, former.scores.version)
        if valid.passed:
            found = _gain(rows, (challenger, former.scores), policy.metric, confidence, -policy.margin)
            yield replace(found, criterion=found.criterion + BEST_FORMER_CHAMPION)
        else:
            unusable.append(f"version {former.scores.version}: {valid.found} valid predictions")
    if unusable:
        yield CriterionResult("former champions that are not compared", "left out", "; ".join(unusable), passed=True)


def _allowed(policy: PromotionCriteria, state: GateState) -> Iterator[CriterionResult]:
    if policy.approval == "manual":
        name = approval_of(state.challenger)
        yield CriterionResult(
            name, "after the champion's last change", state.approved or "none", bool(state.approved)
        )
    if state.frozen:
        yield CriterionResult("promotion is not frozen", "not frozen", state.frozen, passed=False)
