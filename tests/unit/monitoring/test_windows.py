"""Windows of a run."""

from datetime import UTC, datetime, timedelta

import pytest

from deployment.monitoring.windows import EPOCH, Windows, WindowsRefused

NOW = datetime(2026, 11, 30, 1, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_windows_are_whole_days_in_utc_and_the_running_day_is_none_of_them() -> None:
    windows = Windows.of(DAY, NOW, datetime(2026, 11, 27, tzinfo=UTC))
    assert list(windows) == [datetime(2026, 11, day, tzinfo=UTC) for day in (27, 28, 29)]
    assert windows.end == datetime(2026, 11, 30, tzinfo=UTC)


def test_a_window_that_began_before_since_is_left_out() -> None:
    assert list(Windows.of(DAY, NOW, datetime(2026, 11, 28, 0, 0, 1, tzinfo=UTC))) == [
        datetime(2026, 11, 29, tzinfo=UTC)
    ]


def test_without_since_there_are_14_windows() -> None:
    assert Windows.of(DAY, NOW).count == 14
    assert Windows.of(DAY, NOW).micros == (
        (Windows.of(DAY, NOW).first - EPOCH) // timedelta(microseconds=1),
        86_400_000_000,
    )


def test_a_period_without_a_window_and_one_with_too_many_are_refused() -> None:
    with pytest.raises(WindowsRefused, match="no window of 1 d ends"):
        Windows.of(DAY, NOW, NOW - timedelta(hours=3))
    with pytest.raises(WindowsRefused, match="86,400 windows"):
        Windows.of(timedelta(seconds=1), NOW, NOW - DAY)
