"""Alerts in a file: one line of JSON each."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployment.monitoring.output.alerts import Alert, deliver

START = datetime(2026, 11, 1, tzinfo=UTC)
ALERT = Alert("people", 2, "alert", START, START + timedelta(days=1), ("größer",), "monitoring.html")


def test_an_alert_after_one_that_was_cut_off_is_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "alerts" / "people.jsonl"
    assert deliver(ALERT, file, None) == []
    with file.open("a") as lines:
        lines.write('{"text": "peo')  # a full disk
    assert deliver(ALERT, file, None) == []
    first, cut_off, last = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == json.loads(last)
    assert cut_off == '{"text": "peo'
    assert json.loads(last)["findings"] == ["größer"]


def test_an_alert_for_which_the_disk_is_full_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert deliver(ALERT, Path("/dev/full"), None) == [
        "the alert was not written to /dev/full: No space left on device"
    ]
    assert "people version 2: größer" in capsys.readouterr().err
