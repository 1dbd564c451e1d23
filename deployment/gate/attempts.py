"""Repeated attempts on one holdout: their count, and the error rate that each may spend.

Challengers that are compared on the same rows are lottery tickets: with 5 % each, one of many equal ones is promoted.
So attempt k spends `6 / (pi^2 k^2)` of the error rate (`comparison.spent`); the series sums to 1 (Euler). An
attempt counts all earlier ones whose holdout may share a row with its own. Of the attempts that used some row, the
n-th therefore counts at least n - 1 others and spends at most the n-th part of the series. By Boole's inequality the
probability that any of them promotes wrongly is at most the whole error rate, however they depend on each other.

Holdouts may share a row if their spans of time touch: a holdout that moves with new data counts the attempts of the
weeks that it still covers. A champion counts with its version, since the same two versions have the same rows: to
compare them again gives the same verdict, and is no new attempt.
"""

from datetime import UTC, datetime

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from deployment.gate.criteria.decision import HoldoutAttempt
from deployment.ledger.aliases import AliasedVersions
from deployment.ledger.history import History
from training.frame.provenance import NoProvenance, Provenance
from training.registry.versions import versions_of


def attempt_of(client: MlflowClient, name: str, history: History, versions: AliasedVersions) -> HoldoutAttempt:
    """Count the recorded comparisons on rows of the challenger's holdout, before the first of the same two versions.

    The holdout of a deleted version is unknown, so its attempts count.
    """
    champion = None if versions.champion is None else int(versions.champion.version)
    span, this = _span(versions.challenger), (int(versions.challenger.version), champion)
    registered = {int(version.version): version for version in versions_of(client, name)}
    earlier: list[tuple[int, int]] = []
    for entry in history.since_reset:
        if not entry.verdict or entry.version is None or entry.from_version is None:
            continue
        pair = entry.version, entry.from_version
        if pair == this:
            break
        if pair not in earlier and _touch(span, _span(registered.get(entry.version))):
            earlier.append(pair)
    return HoldoutAttempt(len(earlier) + 1, tuple(version for version, _ in earlier))


def _span(version: ModelVersion | None) -> tuple[datetime, datetime]:
    """First and last time of a version's holdout; all time where they are unknown."""
    try:
        pinned = None if version is None else Provenance.from_tags(version.tags)
    except NoProvenance:
        pinned = None
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return (first, last) if pinned is None else (pinned.holdout_from, pinned.holdout_until or last)


def _touch(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
