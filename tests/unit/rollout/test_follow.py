"""`follow`: one line for each event, and a problem is told once."""

from pathlib import Path
from typing import Any

import pytest

from deployment.commands.rollouts import follow
from deployment.commands.rollouts.follow import Follower
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


def test_a_problem_is_told_once_and_its_end_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, None, "unused", "unused", "")
    outcomes = ["down", "down", "", "", "refused", ""]
    lines: list[str] = []
    follower = Follower("people", settings, poll=0.001, tell=lines.append)

    def look(_self: Any) -> None:
        outcome = outcomes.pop(0)
        if not outcomes:
            follower.ended.set()
        if outcome:
            raise LakehouseError(outcome)

    monkeypatch.setattr(follow.Follower, "look", look)
    follower.run()
    assert lines == [
        "following the champion of people",
        "down",
        "solved; following",
        "refused",
        "solved; following",
    ]


def test_whoever_knows_that_the_alias_moved_wakes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, None, "unused", "unused", "")
    follower = Follower("people", settings, poll=3_600.0, tell=lambda _: None)
    looks: list[int] = []

    def look(_self: Any) -> None:
        looks.append(1)
        follower.woken.set()
        if len(looks) == 3:
            follower.ended.set()

    monkeypatch.setattr(follow.Follower, "look", look)
    follower.run()
    assert len(looks) == 3
