"""A new entry of the ledger, with its actor, time and commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployment.gate.errors import ReasonRefused
from deployment.ledger.entries import MAX_REASON_LENGTH, Action, Entry, chained
from deployment.ledger.origin import actor
from lakehouse.git import git_commit, has_uncommitted_changes

ChampionBeforeAfter = tuple[int | None, int | None]  # champion before and after the entry


@dataclass(frozen=True)
class LedgerEvent:
    """An event to record; for its fields see `Entry`."""

    action: Action
    version: int | None
    champions: ChampionBeforeAfter
    reason: str
    verdict: str = ""
    criteria: str = ""
    rollout: str = ""


def new_entry(entries: Sequence[Entry], use_case: str, at: datetime, event: LedgerEvent) -> Entry:
    """The entry that continues the chain of a use case.

    Args:
        entries: chain so far.
        use_case: name of the use case.
        at: time of the event.
        event: event to record.

    Raises:
        ReasonRefused: The reason is empty or too long.
    """
    if not 0 < len(event.reason.strip()) <= len(event.reason) <= MAX_REASON_LENGTH:
        raise ReasonRefused.of_length(len(event.reason.strip()))
    entry = Entry(
        number=0,
        at=at,
        actor=actor(),
        action=event.action,
        use_case=use_case,
        version=event.version,
        from_version=event.champions[0],
        to_version=event.champions[1],
        verdict=event.verdict,
        reason=event.reason,
        commit=git_commit(),
        previous="",
        criteria=event.criteria,
        dirty=has_uncommitted_changes(),
        rollout=event.rollout,
    )
    return chained(entries, entry)
