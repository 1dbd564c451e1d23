"""Changes of promotion criteria since the last verdict: a criterion loosened before a promotion shows in it."""

from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.tracking import MlflowClient

from deployment.gate import verdict
from deployment.gate.criteria.decision import Decision
from deployment.ledger.history import History


def changes_since_last_verdict(
    client: MlflowClient, name: str, history: History, decision: Decision
) -> tuple[str, ...]:
    """Differences between the criteria of a decision and those of the verdict before it, one line each."""
    last = history.last_verdict()
    if last is None or last.version is None or last.criteria == decision.criteria_digest:
        return ()
    try:
        before = verdict.load(client, name, last.version, last.verdict)
    except verdict.VerdictUnavailable as err:
        return (f"entry {last.number} applied others; {err.failed}",)
    if not before.criteria:
        return (f"entry {last.number} is of an earlier release and did not record its criteria",)
    return criteria_changes(before.criteria, decision.criteria)


def criteria_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Describe each criterion that differs, in one line.

    >>> criteria_changes({"minimum": 0.6, "guards": {"slices": []}}, {"minimum": 0.1, "guards": {"slices": []}})
    ('minimum is 0.1, was 0.6',)
    """
    old, new = dict(_flat(before)), dict(_flat(now))
    return tuple(
        f"{key} is {_format(new, key)}, was {_format(old, key)}"
        for key in dict.fromkeys((*new, *old))
        if _format(old, key) != _format(new, key)
    )


def _flat(criteria: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in criteria.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _format(criteria: Mapping[str, Any], key: str) -> str:
    value = criteria.get(key)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "empty"
    return "not set" if value is None else str(value)
