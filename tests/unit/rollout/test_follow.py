"""`follow`: one line for each event, and a problem is told once."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deployment.commands.rollouts import follow
from deployment.commands.rollouts.follow import Follower
from deployment.commands.serving import serve
from deployment.run import main
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


def test_serve_in_a_workspace_follows_with_the_webhook_and_refuses_options_without_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed: list[tuple[Any, ...]] = []
    monkeypatch.setenv("FEATURE_STORE", "databricks")
    monkeypatch.setattr(serve, "serve", lambda *_, **__: None)
    monkeypatch.setattr(follow, "follow", lambda name, _settings, *options: followed.append((name, *options)))
    url = "https://hooks.example.org"
    command = ["serve", "--use-case", "people", "--webhook-url", url, "--webhook-listen", "127.0.0.1:8095"]
    assert CliRunner().invoke(main, [*command, "--follow"]).exit_code == 0
    assert followed == [("people", follow.POLL_SECONDS, url, ("127.0.0.1", 8095))]
    refused = CliRunner().invoke(main, command)
    assert (refused.exit_code, "--webhook-url needs --follow" in refused.output) == (2, True)
