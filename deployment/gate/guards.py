"""Limits that hold beside the metric: pure, each of them a reason."""

from collections.abc import Iterator, Mapping

import numpy as np

from deployment.gate.comparison import gain, shown
from deployment.gate.decision import HoldoutRows, ModelInput, Reason, Scores
from training.evaluation.curves import calibration_error
from training.evaluation.metrics import Task, decided
from training.evaluation.weighted_metrics import ScoredRows
from training.use_case.promotion import PromotionCriteria


def guards(
    rows: HoldoutRows, challenger: Scores, champion: Scores | None, policy: PromotionCriteria
) -> Iterator[Reason]:
    """A reason for each limit that is set; those that compare need a champion."""
    limits = policy.guards
    if limits.max_calibration_error is not None:
        error = calibration_error(_sure(rows.outcomes(challenger)))
        yield _at_most("calibration error", error, limits.max_calibration_error, challenger)
    if limits.max_p99_ms is not None:
        yield _at_most("p99 of an answer, ms", challenger.measured.p99_ms, limits.max_p99_ms, challenger)
    if limits.max_size_mb is not None:
        yield _at_most("size of the files, MB", challenger.measured.size_mb, limits.max_size_mb, challenger)
    if champion is not None:
        if limits.max_changed_decisions is not None:
            changed = _changed(rows, challenger, champion)
            yield _at_most("share of changed decisions", changed, limits.max_changed_decisions, challenger)
        for column in limits.slices:
            yield from _slices(column, rows, challenger, champion, policy)
        if limits.input_schema == "compatible":
            yield _input_schema(challenger, champion)


def _at_most(what: str, value: float | None, limit: float, challenger: Scores) -> Reason:
    found = "not measured" if value is None else f"{value:.4g}"
    passed = value is not None and 0 <= value <= limit
    return Reason(what, f"at most {limit:g}", found, passed, {f"version {challenger.version}": value}, limit)


def _sure(outcomes: ScoredRows) -> ScoredRows:
    """Of several classes: how sure the version was of the one it said, and whether it was right."""
    if outcomes.predicted.ndim == 1:
        return outcomes
    right = (outcomes.predicted.argmax(axis=1) == outcomes.labels).astype(np.int64)
    return ScoredRows(right, outcomes.predicted.max(axis=1), outcomes.threshold)


def _changed(rows: HoldoutRows, challenger: Scores, champion: Scores) -> float | None:
    if rows.task == "regression":
        return None
    one, other = (decided(scores.predicted, scores.threshold) for scores in (challenger, champion))
    return float(np.mean(one != other))


def _slices(
    column: str, rows: HoldoutRows, challenger: Scores, champion: Scores, policy: PromotionCriteria
) -> Iterator[Reason]:
    """A reason for each value with enough rows. A column of which no value has them fails: it would guard nothing."""
    limits = policy.guards
    values = rows.slices.get(column)
    if values is None or len(values) != len(rows.labels):
        yield Reason(f"slices of {column}", "a column of the holdout", "none", passed=False)
        return
    distinct, sizes = np.unique(values, return_counts=True)
    judged = distinct[sizes >= limits.min_slice_rows]
    if not len(judged):
        required = f"one of at least {limits.min_slice_rows} rows"
        yield Reason(f"slices of {column}", required, f"{sizes.max()} rows in the largest", passed=False)
    for value in judged:
        parts = [(scores.version, rows.outcomes(scores).take(values == value)) for scores in (challenger, champion)]
        yield _slice(f"{policy.metric} where {column} = {value:g}", dict(parts), rows.task, policy)


def _slice(name: str, parts: Mapping[int, ScoredRows], task: Task, policy: PromotionCriteria) -> Reason:
    """How challenger and champion compare on one slice; `parts` has them in that order."""
    new, old = parts.values()
    limit = policy.guards.max_slice_drop
    if task != "regression" and len(np.unique(new.labels)) < 2:
        return Reason(name, "labels of two kinds", f"one in {len(new)} rows", passed=False)
    found = gain(policy.metric, new, old, policy.confidence)
    values = {f"version {version}": part.metric(policy.metric) for version, part in parts.items()}
    told = f"{shown(found)}, {len(new)} rows"
    return Reason(name, f"worse by at most {limit:g}", told, found.value >= -limit, values, -limit, found)


def _input_schema(challenger: Scores, champion: Scores) -> Reason:
    takes, sent = challenger.measured.inputs, champion.measured.inputs
    name, required = f"callers of version {champion.version} are understood", "every column as it was"
    if takes is None or sent is None:
        return Reason(name, required, "unknown inputs", passed=False)
    problems = incompatible(takes, sent)
    return Reason(name, required, "; ".join(problems) or f"{len(sent)} columns", not problems)


def incompatible(takes: Mapping[str, ModelInput], sent: Mapping[str, ModelInput]) -> list[str]:
    """Why a model that `takes` these inputs refuses callers who have `sent` those; empty where it does not.

    >>> age = {"age": ModelInput("double", required=True)}
    >>> incompatible({}, age), incompatible({**age, "job": ModelInput("string", required=True)}, age)
    (['age is no input any more'], ['job is new and required'])
    """
    gone = [f"{name} is no input any more" for name in sent if name not in takes]
    retyped = [
        f"{name} is {takes[name].type} and was {was.type}"
        for name, was in sent.items()
        if name in takes and takes[name].type != was.type
    ]
    stricter = [
        f"{name} is required and was not"
        for name, was in sent.items()
        if name in takes and takes[name].required and not was.required
    ]
    new = [f"{name} is new and required" for name, now in takes.items() if name not in sent and now.required]
    return gone + retyped + stricter + new
