"""Guards: limits besides the metric, as pure functions that give reasons."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deployment.gate.criteria.comparison import format_share, gain
from deployment.gate.criteria.decision import CriterionResult, HoldoutRows, ModelInput, Scores
from lakehouse.arrays import Mask
from lakehouse.wording import format_number
from scoring.predictions import decisions
from training.evaluation.bootstrap import Interval
from training.evaluation.curves import calibration_error
from training.evaluation.weighted_metrics import ScoredRows, weighted_metric
from training.use_case.promotion import PromotionCriteria

POWER = 0.8  # share of cases in which the stated drop is shown


def guards(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria
) -> Iterator[CriterionResult]:
    """A reason for each limit that is set. Comparing guards need a champion."""
    limits = policy.guards
    if limits.max_calibration_error is not None:
        error = calibration_error(_confidence(rows.outcomes(challenger)))
        yield _at_most("calibration error", error, limits.max_calibration_error, challenger)
    if limits.max_p99_ms is not None:
        yield _at_most("p99 latency, ms", challenger.measured.p99_ms, limits.max_p99_ms, challenger)
    if limits.max_size_mb is not None:
        yield _at_most("model size, MB", challenger.measured.size_mb, limits.max_size_mb, challenger)
    if champion is not None:
        if limits.max_changed_decisions is not None:
            changed = _changed(rows, challenger, champion)
            yield _at_most("share of changed decisions", changed, limits.max_changed_decisions, challenger)
        yield from _slices(rows, challenger, champion, policy)
        if limits.input_schema == "compatible":
            yield _input_schema(challenger, champion)


def _at_most(criterion: str, value: float | None, limit: float, challenger: Scores) -> CriterionResult:
    found = "not measured" if value is None else f"{value:.4g}"
    passed = value is not None and 0 <= value <= limit
    return CriterionResult(
        criterion, f"at most {format_number(limit)}", found, passed, {f"version {challenger.version}": value}, limit
    )


def _confidence(outcomes: ScoredRows) -> ScoredRows:
    """For several classes, the probability of the predicted one, with label 1 where it is correct."""
    if outcomes.predicted.ndim == 1:
        return outcomes
    correct = (outcomes.predicted.argmax(axis=1) == outcomes.labels).astype(np.int64)
    return ScoredRows(correct, outcomes.predicted.max(axis=1), outcomes.threshold)


def _changed(rows: HoldoutRows, challenger: Scores, champion: Scores) -> float | None:
    if not rows.task.predicts_classes:
        return None
    new, old = (decisions(scores.predicted, scores.threshold) for scores in (challenger, champion))
    return float(np.mean(new != old))


def _slices(
    rows: HoldoutRows, challenger: Scores, champion: Scores, policy: PromotionCriteria
) -> Iterator[CriterionResult]:
    """A reason for each slice: each value of a column with enough rows. A column without a comparison fails."""
    limits = policy.guards
    large = {column: list(_large(rows.slices.get(column), rows, limits.min_slice_rows)) for column in limits.slices}
    confidence = 1 - (1 - policy.confidence) / max(sum(map(len, large.values())), 1)
    for column, values in large.items():
        compared = False
        for value, inside in values:
            parts = {scores.version: rows.outcomes(scores).take(inside) for scores in (challenger, champion)}
            found = compare_slice(
                f"{policy.metric} where {column} = {rows.format_slice(column, value)}", parts, policy, confidence
            )
            compared |= found.interval is not None
            yield found
        if not compared:
            yield _unguarded(column, rows, limits.min_slice_rows, len(values))


def _large(values: npt.NDArray[Any] | None, rows: HoldoutRows, least: int) -> Iterator[tuple[Any, Mask]]:
    """The values with at least `least` rows, each with its rows."""
    if values is None or len(values) != len(rows.labels):
        return
    distinct, sizes = np.unique(values, return_counts=True)
    for value in distinct[sizes >= least]:
        yield value, values == value


def _unguarded(column: str, rows: HoldoutRows, least: int, large: int) -> CriterionResult:
    """The failure of a column without a slice to compare, as it would guard nothing."""
    name, values = f"slices of {column}", rows.slices.get(column)
    if values is None or len(values) != len(rows.labels):
        return CriterionResult(name, "a column of the holdout", "none", passed=False)
    if large:
        return CriterionResult(name, "one with a defined metric", f"none of {large}", passed=False)
    most = np.unique(values, return_counts=True)[1].max()
    return CriterionResult(name, f"one of at least {least} rows", f"{most} rows in the largest", passed=False)


def compare_slice(
    name: str, parts: Mapping[int, ScoredRows], policy: PromotionCriteria, confidence: float
) -> CriterionResult:
    """The comparison on one slice; `parts` holds challenger and champion in that order.

    A slice fails if its drop is larger than the limit, and is no chance result: the upper bound of the gain is below
    0 at the given confidence. A slice without a defined metric is left out.
    """
    (new, old), limit = parts.values(), policy.guards.max_slice_drop
    error = format_share(1 - confidence)
    required = f"no drop of more than {format_number(limit)} shown at an error rate of {error}"
    every_row = np.ones(len(new), dtype=np.int64)
    defined = all(np.isfinite(weighted_metric(policy.metric, part)(every_row)) for part in (new, old))
    found = gain(policy.metric, new, old, confidence) if defined else None
    if found is None or not math.isfinite(found.high):
        where = "the slice" if found is None else "a resample"
        finding = f"left out: {policy.metric} is undefined on {where} of {len(new)} rows"
        return CriterionResult(name, required, finding, passed=True)
    values = {f"version {version}": part.metric(policy.metric) for version, part in parts.items()}
    smallest = smallest_shown(found, limit, confidence)
    finding = (
        f"{found.value:+.4f}, at most {found.high:+.4f}; {len(new)} rows, which show a drop of {smallest:.4f}"
        f" in {POWER:.0%} of cases"
    )
    passed = found.value >= -limit or found.high >= 0
    return CriterionResult(name, required, finding, passed, values | {"smallest drop shown": smallest}, -limit, found)


def smallest_shown(found: Interval, limit: float, confidence: float) -> float:
    """The smallest true drop that a slice with this interval shows in 80 % of cases.

    >>> round(smallest_shown(Interval(0.0, -0.0329, 0.0329), 0.03, 0.95), 4)
    0.0497
    """
    from scipy.stats import norm

    reach = found.high - found.value
    return float(max(reach, limit) + norm.ppf(POWER) * reach / norm.ppf(confidence))


def _input_schema(challenger: Scores, champion: Scores) -> CriterionResult:
    new, old = challenger.measured.inputs, champion.measured.inputs
    name, required = f"input schema compatible with version {champion.version}", "unchanged columns"
    if new is None or old is None:
        return CriterionResult(name, required, "unknown inputs", passed=False)
    problems = incompatible(new, old)
    return CriterionResult(name, required, "; ".join(problems) or f"{len(old)} columns", not problems)


def incompatible(new: Mapping[str, ModelInput], old: Mapping[str, ModelInput]) -> list[str]:
    """The reasons why a model with the `new` inputs rejects callers that send the `old` ones; empty if it does not.

    >>> age = {"age": ModelInput("double", required=True)}
    >>> incompatible({}, age), incompatible({**age, "job": ModelInput("string", required=True)}, age)
    (['age is no longer an input'], ['job is new and required'])
    """
    common = [(name, new[name], was) for name, was in old.items() if name in new]
    removed = [f"{name} is no longer an input" for name in old if name not in new]
    retyped = [f"{name} is {now.type} and was {was.type}" for name, now, was in common if now.type != was.type]
    stricter = [f"{name} is required and was not" for name, now, was in common if now.required and not was.required]
    added = [f"{name} is new and required" for name, now in new.items() if name not in old and now.required]
    return removed + retyped + stricter + added
