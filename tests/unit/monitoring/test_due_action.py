"""When a recommended action is due, by the records of the same action."""

from datetime import UTC, datetime, timedelta

import pytest

from deployment.commands.monitoring.due_action import due_action

WINDOW, DAY = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=1)
NOW = WINDOW + 30 * DAY
COOLDOWN_START = NOW - 7 * DAY


@pytest.mark.parametrize(
    ("taken", "is_alone", "outcome", "is_done"),
    [
        ([], True, "started", False),
        ([("done", -1, WINDOW - DAY)], True, None, True),
        ([("done", -20, WINDOW - DAY)], True, "started", False),  # after the cooldown
        ([("done", -20, WINDOW)], True, None, True),  # for this window, whatever the cooldown
        ([("failed: no disk space", -1, WINDOW)], True, None, False),
        ([("failed: no disk space", -20, WINDOW)], True, "started", False),
        ([("started", -1, WINDOW)], True, "started again", False),  # its process has ended
        ([("started", -1, WINDOW)], False, None, False),  # it may still run
        ([("started", -2, WINDOW), ("started again", -1, WINDOW)], True, None, False),
        ([("started", -2, WINDOW), ("started again", -1, WINDOW), ("done", -0.5, WINDOW)], True, None, True),
    ],
)
def test_an_action_is_due_once_for_a_window_and_not_again_within_the_cooldown(
    taken: list[tuple[str, float, datetime]], is_alone: bool, outcome: str | None, is_done: bool
) -> None:
    rows = [{"outcome": each, "at": NOW + days * DAY, "window_start": window} for each, days, window in taken]
    due = due_action(rows, WINDOW, COOLDOWN_START, is_alone=is_alone)
    assert (due.outcome, due.is_done) == (outcome, is_done)
    assert bool(due.told) == bool(taken) or outcome == "started"
