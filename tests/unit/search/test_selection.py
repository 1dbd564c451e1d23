"""The selection of the trial to register: a lucky trial of many does not hide a blend that is better."""

from datetime import timedelta

import pytest

from training.search.ensemble_candidates import blend_candidate
from training.search.trial import BASELINE, Trial, best, selected_loss
from training.space.joint_space import Candidate

MEMBERS = [Candidate("knn", {"n_neighbors": count}) for count in (5, 7)]
BLEND = blend_candidate([(0.5, each) for each in MEMBERS])


def trial(number: int, *losses: float, candidate: Candidate | None = None) -> Trial:
    per_fold = tuple({"log_loss": loss} for loss in losses)
    mean = {"log_loss": sum(losses) / len(losses)} if losses else {}
    error = None if losses else "failed"
    return Trial(number, candidate or Candidate("knn", {"n_neighbors": number}), mean, per_fold, timedelta(1), error)


def test_the_loss_of_selecting_a_trial_is_measured_on_folds_that_did_not_choose_it() -> None:
    trials = [trial(1, 0.1, 0.5, 0.5), trial(2, 0.5, 0.15, 0.6), trial(3, 0.4, 0.4, 0.4)]
    # The least mean of the other folds has trial 2 without fold 1, and trial 1 without fold 2 or 3.
    assert selected_loss(trials, "log_loss") == pytest.approx((0.5 + 0.5 + 0.5) / 3)


def test_a_blend_wins_if_it_beats_a_selected_trial_though_a_lucky_one_has_less_loss() -> None:
    lucky = [trial(1, 0.1, 0.5, 0.5), trial(2, 0.5, 0.1, 0.6)]
    blended = trial(3, 0.4, 0.4, 0.4, candidate=BLEND)
    assert best([*lucky, blended], "log_loss").number == 3
    assert best([*lucky, trial(3, 0.6, 0.6, 0.6, candidate=BLEND)], "log_loss").number == 1


def test_without_luck_the_least_loss_wins() -> None:
    steady = [trial(1, 0.3, 0.3), trial(2, 0.4, 0.4), trial(BASELINE, 0.1, 0.1), trial(4)]
    blended = trial(5, 0.35, 0.35, candidate=BLEND)
    assert selected_loss(steady[:2], "log_loss") == pytest.approx(0.3)
    assert best([*steady, blended], "log_loss").number == 1


def test_one_fold_selects_by_the_least_loss() -> None:
    single, blended = trial(1, 0.3), trial(2, 0.4, candidate=BLEND)
    assert best([single, blended], "log_loss").number == 1
    assert best([single, trial(2, 0.2, candidate=BLEND)], "log_loss").number == 2
    assert selected_loss([trial(1)], "log_loss") == float("inf")
