"""What holds for every decision, whatever the two versions say."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deployment import promotion
from deployment.promotion import Decision, Reason, Scores, decide
from training.evaluation import METRICS, Floats
from training.use_case import Promotion

few = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 10_000)
metrics = st.sampled_from(sorted(METRICS))
margins = st.sampled_from([0.0, 0.005, 0.1])


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


def policy(metric: str = "roc_auc", *, margin: float = 0.0, minimum: float | None = None) -> Promotion:
    """A policy whose minimum every version reaches, unless one is given."""
    easy = 0.0 if METRICS[metric].greater_is_better else 100.0
    return Promotion(
        metric=metric, minimum=easy if minimum is None else minimum, non_inferiority_margin=margin, confidence=0.95
    )


@few
@given(seed=seeds, metric=metrics, margin=margins)
def test_a_much_better_version_is_promoted_and_a_much_worse_one_is_not(seed: int, metric: str, margin: float) -> None:
    y = labels(seed)
    good, bad = Scores(2, "h", said(y, 6, seed)), Scores(1, "h", said(y, -6, seed + 1))
    assert decide(y, good, bad, policy(metric, margin=margin)).promote
    assert not decide(y, bad, good, policy(metric, margin=margin)).promote


@few
@given(seed=seeds, metric=metrics, signals=st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_two_versions_never_both_replace_each_other(seed: int, metric: str, signals: tuple[float, float]) -> None:
    y = labels(seed)
    one, other = Scores(1, "h", said(y, signals[0], seed)), Scores(2, "h", said(y, signals[1], seed + 1))
    verdicts = decide(y, one, other, policy(metric)).promote, decide(y, other, one, policy(metric)).promote
    assert verdicts != (True, True)


@few
@given(seed=seeds, metric=metrics, signal=st.floats(-6, 6), margin=margins)
def test_a_tie_keeps_the_champion(seed: int, metric: str, signal: float, margin: float) -> None:
    y = labels(seed)
    same = said(y, signal, seed)
    assert not decide(y, Scores(2, "h", same), Scores(1, "h", same.copy()), policy(metric, margin=margin)).promote


@few
@given(seed=seeds, metric=metrics, cut=st.integers(1, 119), extra=st.integers(1, 9))
def test_probabilities_of_other_rows_promote_nothing(seed: int, metric: str, cut: int, extra: int) -> None:
    y = labels(seed)
    good, bad = said(y, 6, seed), said(y, -6, seed + 1)
    for shape in (good[:cut], np.concatenate([good, good[:extra]]), good.reshape(-1, 1), good[:0]):
        assert not decide(y, Scores(2, "h", shape), Scores(1, "h", bad), policy(metric, margin=0.1)).promote
        assert not decide(y, Scores(2, "h", good), Scores(1, "h", shape), policy(metric, margin=0.1)).promote
    assert not decide(y, Scores(2, "h", good), Scores(1, "k", bad), policy(metric, margin=0.1)).promote


@settings(few, max_examples=6)
@given(seed=seeds, metric=metrics, signals=st.tuples(st.floats(0, 3), st.floats(-3, 0)))
def test_a_wider_margin_never_refuses_what_a_narrow_one_lets_pass(
    seed: int, metric: str, signals: tuple[float, float]
) -> None:
    y = labels(seed)
    new, old = Scores(2, "h", said(y, signals[0], seed)), Scores(1, "h", said(y, signals[1], seed + 1))
    assume(decide(y, new, old, policy(metric)).promote)
    assert decide(y, new, old, policy(metric, margin=0.05)).promote


@few
@given(seed=seeds, metric=metrics, signal=st.floats(-6, 6))
def test_exactly_the_minimum_is_enough_and_the_next_number_is_not(seed: int, metric: str, signal: float) -> None:
    y = labels(seed)
    challenger = Scores(1, "h", said(y, signal, seed))
    value = METRICS[metric].function(y, challenger.probabilities, 0.5)
    stricter = np.nextafter(value, np.inf if METRICS[metric].greater_is_better else -np.inf)
    assert decide(y, challenger, None, policy(metric, minimum=value)).promote
    assert not decide(y, challenger, None, policy(metric, minimum=float(stricter))).promote


def test_a_minimum_that_is_no_number_is_reached_by_nothing() -> None:
    y = labels(1)
    assert not decide(y, Scores(1, "h", said(y, 6, 1)), None, policy(minimum=float("nan"))).promote


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


def test_the_digest_of_a_verdict_is_the_hash_of_its_json() -> None:
    verdict = Decision(2, None, False, (Reason("minimum", ">= 0.6", "0.5", False),))
    written = (
        '{"challenger": 2, "champion": null, "promote": false, "reasons": '
        '[{"criterion": "minimum", "found": "0.5", "passed": false, "required": ">= 0.6"}]}'
    )
    assert verdict.to_json() == written
    assert verdict.digest() == hashlib.sha256(written.encode()).hexdigest()
