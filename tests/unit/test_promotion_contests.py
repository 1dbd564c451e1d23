"""Two versions against each other: not both win, and what cannot be compared wins nothing."""

import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment import promotion
from deployment.promotion import Scores, decide
from training.criteria import Promotion
from training.evaluation import METRICS, Floats


@pytest.fixture(autouse=True, scope="module")
def fewer_resamples() -> Iterator[None]:
    """What holds for 500 resamples holds for 40, and those take a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion, "RESAMPLES", 40)
        yield


def labels(seed: int, rows: int = 120) -> npt.NDArray[np.int64]:
    drawn = np.random.default_rng(seed).integers(0, 2, rows)
    drawn[:2] = 0, 1
    return drawn


def said(y: npt.NDArray[np.int64], signal: float, seed: int) -> Floats:
    """Probabilities that know the labels with this signal; with a negative one they say the opposite."""
    noise = np.random.default_rng(seed).normal(0, 1, len(y))
    return np.asarray(1 / (1 + np.exp(-(y - 0.5) * signal - noise)), dtype=np.float64)


def policy(metric: str = "roc_auc") -> Promotion:
    """A policy whose minimum every version reaches, and that lets nothing pass that is worse."""
    easy = 0.0 if METRICS[metric].greater_is_better else 100.0
    return Promotion(metric=metric, minimum=easy, margin=0)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10_000),
    metric=st.sampled_from(sorted(METRICS)),
    signals=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
def test_two_versions_never_both_replace_each_other(seed: int, metric: str, signals: tuple[float, float]) -> None:
    y = labels(seed)
    one, other = Scores(1, "h", said(y, signals[0], seed)), Scores(2, "h", said(y, signals[1], seed + 1))
    verdicts = decide(y, one, other, policy(metric)).promote, decide(y, other, one, policy(metric)).promote
    assert verdicts != (True, True)


@pytest.mark.filterwarnings("ignore:Only one class is present")  # what this is about
def test_a_holdout_whose_resamples_lack_a_class_promotes_nothing() -> None:
    y = np.zeros(40, dtype=np.int64)
    y[0] = 1
    good, bad = Scores(2, "h", np.where(y == 1, 0.9, 0.1)), Scores(1, "h", np.where(y == 1, 0.1, 0.9))
    refused = decide(y, good, bad, policy())
    assert [r.criterion for r in refused.reasons if not r.passed] == ["gain in roc_auc over version 1"]


def test_a_verdict_says_both_versions_and_every_reason() -> None:
    y = labels(4)
    decision = decide(y, Scores(12, "h" * 64, said(y, 6, 1)), Scores(7, "h" * 64, said(y, -6, 2)), policy())
    assert (decision.challenger, decision.champion, decision.promote) == (12, 7, True)
    assert [reason.criterion for reason in decision.reasons] == [
        "valid probabilities of version 12",
        "valid probabilities of version 7",
        "minimum roc_auc",
        "same holdout",
        "answers differ from version 7",
        "gain in roc_auc over version 7",
    ]
    told = json.loads(decision.to_json())
    assert told["reasons"][3] == {
        "criterion": "same holdout",
        "required": "h" * 12,
        "found": "h" * 12,
        "passed": True,
    }
