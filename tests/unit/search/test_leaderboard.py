"""The leaderboard on the console: the best trials by the folds, and never a number of the holdout."""

from datetime import timedelta

import numpy as np
import pytest
from rich.console import Console

from lakehouse import console
from training.search.leaderboard import print_leaderboard
from training.search.trial import Trial
from training.space.joint_space import Candidate


def trial(number: int, *folds: float, error: str | None = None) -> Trial:
    per_fold = tuple({"log_loss": value} for value in folds)
    means = {"log_loss": float(np.mean(folds))} if error is None else {}
    return Trial(number, Candidate("knn", {}), means, per_fold, timedelta(seconds=1.25), error)


TRIALS = [trial(0, 0.9, 0.9), trial(1, 0.5, 0.6), trial(2, 0.4, 0.65), trial(3, error="ValueError: no fit")]


@pytest.fixture(autouse=True)
def _wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "OUT", Console(highlight=False, width=200))


def printed(capsys: pytest.CaptureFixture[str], most: int) -> list[list[str]]:
    print_leaderboard(TRIALS, "log_loss", most)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_trials_are_ranked_with_their_folds_and_their_distance(
    capsys: pytest.CaptureFixture[str],
) -> None:
    header, first, second, third, rest = printed(capsys, 10)
    assert "holdout" not in " ".join(header)
    assert first == ["1", "2", "knn", "0.5250", "0.4000", "to", "0.6500", "-", "-", "1.2"]
    assert second == ["2", "1", "knn", "0.5500", "0.5000", "to", "0.6000", "0.0250", "1", "of", "2", "1.2"]
    assert third[:3] == ["3", "0", "knn"]
    assert " ".join(rest) == "1 further trial: --leaderboard 4, or the report"


def test_only_as_many_trials_are_printed_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(printed(capsys, 1)) == 3, "header, the best, and how many are not shown"
    assert printed(capsys, 0) == []
