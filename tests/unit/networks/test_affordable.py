"""Networks in a search with a time limit."""

from typing import Any

import pytest

from tests.contract.people import USE_CASE
from tests.unit.frames import by_time
from tests.unit.networks.points import require
from tests.unit.points import rows_of
from training.budget import Budget
from training.frame.splits import folds
from training.search.trial import Attempt
from training.stages import affordable
from training.stages import search as stage
from training.stages.affordable import trial_seconds, unaffordable
from training.use_case.search import SearchPlan
from training.use_case.use_case import with_search

ATTEMPT = Attempt(list(folds(rows_of("binary", 400), by_time(), 0)), 0, 0.5)


def plan(*families: str, **options: Any) -> SearchPlan:
    return with_search(USE_CASE, {"families": families, **options}).search


@pytest.mark.parametrize(("seconds", "parallelism", "left_out"), [(90, 1, True), (90, 2, False), (200, 1, False)])
def test_a_network_takes_part_if_five_trials_fit_into_the_time_of_the_search(
    monkeypatch: pytest.MonkeyPatch, seconds: int, parallelism: int, left_out: bool
) -> None:
    monkeypatch.setattr(affordable, "trial_seconds", lambda *_: 15.0)
    reasons = unaffordable(plan("lightgbm", "mlp", parallelism=parallelism), ATTEMPT, Budget.of(seconds))
    assert list(reasons) == (["mlp"] if left_out else [])
    if left_out:
        assert reasons["mlp"] == (
            "mlp is left out: a trial takes about 15 s on 4 folds, and the time allows 3 of at least 5. "
            "It takes part from --max-minutes 3 on"
        )


@pytest.mark.parametrize(
    ("families", "seconds"), [(("lightgbm", "mlp"), None), (("mlp", "ft_transformer"), 1.0), (("lightgbm",), 1.0)]
)
def test_without_a_limit_or_without_another_family_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, families: tuple[str, ...], seconds: float | None
) -> None:
    monkeypatch.setattr(affordable, "trial_seconds", lambda *_: pytest.fail("a fit was measured"))
    assert unaffordable(plan(*families), ATTEMPT, Budget.of(seconds)) == {}


def test_a_left_out_family_leaves_its_ranges_too_and_a_resumed_search_leaves_it_out_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tags: dict[str, str] = {}
    monkeypatch.setattr(affordable, "trial_seconds", lambda *_: 60.0)
    monkeypatch.setattr("mlflow.set_tag", tags.__setitem__)
    searched = plan("lightgbm", "mlp", space={"mlp": {"width": [64]}})
    narrowed = stage._without_too_long(searched, ATTEMPT, Budget.of(90), None)
    assert list(narrowed.joint_space().families) == ["lightgbm"]
    assert "mlp is left out: a trial takes about 60 s" in capsys.readouterr().out
    assert tags == {"families_too_long": "mlp"}
    resumed = stage._without_too_long(searched, ATTEMPT, Budget.of(9000), tags["families_too_long"])
    assert resumed == narrowed
    assert stage._without_too_long(searched, ATTEMPT, Budget.of(90), "") == searched


def test_a_fit_is_measured_with_one_epoch() -> None:
    require("mlp")
    default = plan("mlp").joint_space().default("mlp")
    assert 0.05 < trial_seconds(default, ATTEMPT) < 120
