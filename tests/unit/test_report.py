"""The page of a version: whole in one file, and honest about failed trials."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from mlflow.entities.model_registry import ModelVersion

from tests.unit.frames import ENCODER, alternating
from training import figures, report
from training.dataset import Split, rolling_origin, split_by_time
from training.registry import provenance
from training.scoring import Answering, Scorer
from training.search.joint import Candidate
from training.search.space import Params
from training.search.trial import Trial, fit, run_trial
from training.use_case import UseCase, load

PARAMS: Params = {
    "inverse_regularization": 0.5,
    "penalty": "l2",
    "numeric_shape": "as_is",
    "recency_half_life_days": None,
}
WINNER = Candidate("logistic_regression", PARAMS)
USE_CASE = load("term_deposit")


@pytest.fixture(scope="module")
def data() -> Split:
    return split_by_time(alternating(160), 0.25)


@pytest.fixture(scope="module")
def trials(data: Split) -> list[Trial]:
    folds = list(rolling_origin(data.training, 2))
    failed = Trial(1, Candidate("knn", {"n_neighbors": 3}), {}, (), timedelta(0), "ValueError: <b>no</b> & [/no]")
    return [failed, run_trial(2, WINNER, folds, 0, 0.5), run_trial(3, WINNER, folds, 0, 0.5)]


@pytest.fixture(scope="module")
def page(data: Split, trials: list[Trial]) -> str:
    scorer = Scorer(fit(WINNER, data.training, 0), ENCODER, Answering(("probability",), 0.5))
    tags = provenance(data.training, data.holdout, None).tags()
    version = SimpleNamespace(name=USE_CASE.name, version="3", description="Says <what> it is.", tags=tags)
    return report.render(USE_CASE, trials, scorer, data, cast(ModelVersion, version))


def test_a_page_needs_nothing_but_itself(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == 4
    assert not re.findall(r"<(?:script|link|img|iframe)\b|(?:src|href)=\"(?!#)|url\((?!#)|@import", page)


def test_texts_are_escaped(page: str) -> None:
    assert "Says &lt;what&gt; it is." in page
    assert "<b>no</b>" not in page


def test_the_best_trial_and_what_a_random_split_would_have_promised_are_told(
    page: str, trials: list[Trial], data: Split
) -> None:
    assert f"{trials[1].metrics['roc_auc']:.4f}" in page
    promised = report.on_random_folds(USE_CASE, trials[1], data)
    assert 0.5 < promised <= 1
    assert f"{promised:.3f}" in page


def test_random_folds_take_every_row_once_and_repeat_themselves(data: Split, trials: list[Trial]) -> None:
    first, again = (report.on_random_folds(USE_CASE, trials[1], data) for _ in range(2))
    other: UseCase = USE_CASE.model_copy(update={"search": USE_CASE.search.model_copy(update={"seed": 5})})
    assert first == again != report.on_random_folds(other, trials[1], data)


def test_the_same_figure_twice_is_the_same_text(data: Split, trials: list[Trial]) -> None:
    said = np.linspace(0.1, 0.9, len(data.holdout))
    for draw in (figures.roc, figures.precision_recall, figures.calibration):
        assert draw(data.holdout.y, said) == draw(data.holdout.y, said)
    assert figures.search_history(trials, "roc_auc") == figures.search_history(trials, "roc_auc")


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_a_search_whose_first_trials_fail_is_drawn(trials: list[Trial], metric: str) -> None:
    drawn = figures.search_history([trials[0], trials[0], *trials[1:]], metric)
    assert "best so far" in drawn
    assert "logistic_regression" in drawn
