"""The rule by which a recommended action is due: once for a window, not again within the cooldown. Without I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from deployment.monitoring.output.findings_table import ActionRow

STARTED, STARTED_AGAIN, DONE = "started", "started again", "done"  # outcomes of actions; others are failures
_IN_THE_MIDDLE = {STARTED, STARTED_AGAIN}


@dataclass(frozen=True)
class DueAction:
    """Decision about a recommended action.

    Attributes:
        outcome: with which its start is recorded; None if it is not due.
        told: what happened before, in words; empty if nothing did.
        is_done: True if it was done before.
    """

    outcome: str | None
    told: str = ""
    is_done: bool = False


def due_action(taken: Sequence[ActionRow], window_start: datetime, since: datetime, *, is_alone: bool) -> DueAction:
    """Decide by the recorded outcomes of the same action for the same version.

    An action that has started and not ended was interrupted, if no other run can be in the middle of it. It is taken
    once more, and not a third time within the cooldown: what kills it may kill it every night.

    Args:
        taken: records of the action.
        window_start: start of the window that recommends it.
        since: start of the cooldown.
        is_alone: True if no other run can be in the middle of the action.
    """
    for row in taken:
        if row["outcome"] == DONE and row["window_start"] == window_start:
            return DueAction(None, f"{_at(row)}: done for this window.", is_done=True)
    recent = sorted((row for row in taken if row["at"] >= since), key=lambda row: row["at"])
    if not recent:
        return DueAction(STARTED)
    last = recent[-1]
    if last["outcome"] in _IN_THE_MIDDLE and is_alone:
        if last["outcome"] == STARTED:
            return DueAction(STARTED_AGAIN, f"{_at(last)} was interrupted. It is taken once more.")
        return DueAction(None, f"{_at(last)} was interrupted for the second time. Not again within the cooldown.")
    return DueAction(None, f"{_at(last)}: {last['outcome']}. Not again within the cooldown.", last["outcome"] == DONE)


def _at(row: ActionRow) -> str:
    return f"at {row['at']:%Y-%m-%d %H:%M} UTC"
