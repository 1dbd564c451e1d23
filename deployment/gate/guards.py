"""Guards: limits besides the metric, as pure functions that give reasons."""

from collections.abc import Iterator, Mapping

import numpy as np

from deployment.gate.comparison import format_gain, gain
from deployment.gate.decision import CriterionResult, HoldoutRows, ModelInput, Scores
from lakehouse.wording import format_number
from scoring.predictions import decisions
from scoring.tasks import Task
from training.evaluation.curves import calibration_error
from training.evaluation.weighted_metrics import ScoredRows
from training.use_case.promotion import PromotionCriteria


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
        for column in limits.slices:
            yield from _slices(column, rows, challenger, champion, policy)
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
    column: str, rows: HoldoutRows, challenger: Scores, champion: Scores, policy: PromotionCriteria
) -> Iterator[CriterionResult]:
    """A reason for each value with enough rows. A column without such a value fails, as it would guard nothing."""
    limits = policy.guards
    values = rows.slices.get(column)
    if values is None or len(values) != len(rows.labels):
        yield CriterionResult(f"slices of {column}", "a column of the holdout", "none", passed=False)
        return
    distinct, sizes = np.unique(values, return_counts=True)
    large = distinct[sizes >= limits.min_slice_rows]
    if not len(large):
        required = f"one of at least {limits.min_slice_rows} rows"
        yield CriterionResult(f"slices of {column}", required, f"{sizes.max()} rows in the largest", passed=False)
    for value in large:
        parts = [(scores.version, rows.outcomes(scores).take(values == value)) for scores in (challenger, champion)]
        yield _slice(f"{policy.metric} where {column} = {format_number(value)}", dict(parts), rows.task, policy)


def _slice(name: str, parts: Mapping[int, ScoredRows], task: Task, policy: PromotionCriteria) -> CriterionResult:
    """The comparison on one slice; `parts` holds challenger and champion in that order."""
    new, old = parts.values()
    limit = policy.guards.max_slice_drop
    if task.predicts_classes and len(np.unique(new.labels)) < 2:
        return CriterionResult(name, "at least 2 classes", f"1 class in {len(new)} rows", passed=False)
    found = gain(policy.metric, new, old, policy.confidence)
    values = {f"version {version}": part.metric(policy.metric) for version, part in parts.items()}
    finding = f"{format_gain(found)}, {len(new)} rows"
    return CriterionResult(
        name, f"worse by at most {format_number(limit)}", finding, found.value >= -limit, values, -limit, found
    )


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
