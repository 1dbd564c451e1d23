"""The decision: golden cases, and what holds for all."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from deployment import promotion
from deployment.promotion import Decision, Reason, Scores, decide
from training.criteria import Promotion
from training.evaluation import METRICS, Floats, Labels, metrics_of

with (Path(__file__).parent.parent / "golden" / "verdicts.csv").open(encoding="utf-8") as _file:
    CASES = list(csv.DictReader(_file))

DRAW = np.random.default_rng(5)
LABELS = (DRAW.random(400) < 0.4).astype(np.int64)


def said(signal: float) -> Floats:
    """Probabilities that know the labels with some signal."""
    return np.asarray(1 / (1 + np.exp(-(LABELS - 0.5) * signal - DRAW.normal(0, 1, len(LABELS)))), dtype=np.float64)


GOOD, WEAK = said(4.0), said(0.5)
ANSWERS = {
    "good": GOOD,
    "weak": WEAK,
    "elsewhere": WEAK,
    "nan": np.where(np.arange(len(LABELS)) == 7, np.nan, GOOD),
    "above": np.where(np.arange(len(LABELS)) == 7, 1.01, GOOD),
    "below": np.where(np.arange(len(LABELS)) == 7, -0.01, GOOD),
    "infinite": np.where(np.arange(len(LABELS)) == 7, np.inf, GOOD),
    "short": GOOD[:-1],
    "long": np.append(GOOD, 0.5),
    "column": GOOD.reshape(-1, 1),
}


def scores(version: int, kind: str) -> Scores:
    return Scores(version, "b" * 64 if kind == "elsewhere" else "a" * 64, ANSWERS[kind])


def policy(metric: str = "roc_auc", minimum: float = 0.5, margin: float = 0.005) -> Promotion:
    return Promotion(metric=metric, minimum=minimum, margin=margin)


def quickly(labels: Labels, challenger: Scores, champion: Scores | None, rule: Promotion) -> Decision:
    """The decision by a small bootstrap: what holds for every one holds for it, in a fraction of the time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(promotion, "RESAMPLES", 20)
        return decide(labels, challenger, champion, rule)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_verdicts(case: dict[str, str]) -> None:
    champion = scores(1, case["champion"]) if case["champion"] else None
    rule = policy(case["metric"], float(case["minimum"]), float(case["margin"]))
    decision = decide(LABELS, scores(2, case["challenger"]), champion, rule)
    assert decision.promote == (case["promote"] == "yes")
    failed = [reason.criterion for reason in decision.reasons if not reason.passed]
    assert (case["fails"] in failed) if case["fails"] else failed == []


@settings(max_examples=40)
@given(place=st.integers(0, len(LABELS) - 1), value=st.sampled_from([np.nan, np.inf, -np.inf, -1e-9, 1 + 1e-9]))
def test_one_value_that_is_no_probability_promotes_nothing(place: int, value: float) -> None:
    broken = GOOD.copy()
    broken[place] = value
    for challenger, champion in ((broken, WEAK), (GOOD, broken), (broken, None)):
        deployed = None if champion is None else Scores(1, "h", champion)
        assert not decide(LABELS, Scores(2, "h", challenger), deployed, policy(minimum=0.1, margin=1)).promote


def test_no_rows_promote_nothing() -> None:
    assert not decide(np.array([], dtype=np.int64), Scores(2, "h", np.array([])), None, policy(minimum=0)).promote


def test_a_decision_repeats_itself_and_its_digest_names_it() -> None:
    first, again = (quickly(LABELS, scores(2, "good"), scores(1, "weak"), policy()) for _ in range(2))
    other = quickly(LABELS, scores(3, "good"), scores(1, "weak"), policy())
    assert first == again
    assert first.digest() == again.digest() != other.digest()


def test_a_summary_says_what_was_not_met() -> None:
    refused = decide(LABELS, scores(2, "good"), None, policy(minimum=0.999))
    assert refused.summary().startswith("minimum roc_auc: required >= 0.999, found 0.9")
    promoted = decide(LABELS, scores(2, "good"), None, policy())
    assert promoted.summary() == "version 2 meets all 2 criteria"


PINNED = Decision(
    3,
    2,
    promote=False,
    reasons=(
        Reason("minimum roc_auc", ">= 0.6", "0.7000", passed=True),
        Reason("same holdout", "aaa", "bbb", passed=False),
    ),
)


def test_the_digest_of_a_decision_stays_the_same_from_release_to_release() -> None:
    assert PINNED.to_json() == (
        '{"challenger": 3, "champion": 2, "promote": false, "reasons": ['
        '{"criterion": "minimum roc_auc", "found": "0.7000", "passed": true, "required": ">= 0.6"}, '
        '{"criterion": "same holdout", "found": "bbb", "passed": false, "required": "aaa"}]}'
    )
    assert PINNED.digest() == "43dbf504cf285596a2b5259c83fc946bcc2967fb89908a67b3107adb9fdbaafb"


@pytest.mark.parametrize(
    "changed",
    [
        replace(PINNED, challenger=4),
        replace(PINNED, champion=None),
        replace(PINNED, promote=True),
        replace(PINNED, reasons=PINNED.reasons[:1]),
        replace(PINNED, reasons=PINNED.reasons[::-1]),
        replace(PINNED, reasons=(replace(PINNED.reasons[0], criterion="minimum f1"), PINNED.reasons[1])),
        replace(PINNED, reasons=(replace(PINNED.reasons[0], required=">= 0.5"), PINNED.reasons[1])),
        replace(PINNED, reasons=(replace(PINNED.reasons[0], found="0.7001"), PINNED.reasons[1])),
        replace(PINNED, reasons=(PINNED.reasons[0], replace(PINNED.reasons[1], passed=True))),
    ],
)
def test_the_digest_changes_with_any_part_of_the_decision(changed: Decision) -> None:
    assert changed.digest() != PINNED.digest()


def test_a_refusal_is_summed_up_by_all_that_failed_and_nothing_else() -> None:
    both = replace(PINNED, reasons=(replace(PINNED.reasons[0], passed=False), PINNED.reasons[1]))
    assert PINNED.summary() == "same holdout: required aaa, found bbb"
    assert both.summary() == "minimum roc_auc: required >= 0.6, found 0.7000; same holdout: required aaa, found bbb"


metrics = st.sampled_from(["roc_auc", "log_loss"])
seeds = st.integers(0, 2**32 - 1)
# Every metric's worst value meets it.
LOWEST = {name: 0.0 if metric.greater_is_better else 1e9 for name, metric in METRICS.items()}


def drawn(seed: int, signal: float) -> tuple[Labels, Floats]:
    """A holdout of 120 rows, half of them of each label, and what a model with this signal says of them."""
    draw = np.random.default_rng(seed)
    labels: Labels = draw.permutation(np.arange(120) % 2)
    return labels, np.asarray(1 / (1 + np.exp(-(labels - 0.5) * signal - draw.normal(0, 0.5, 120))), dtype=np.float64)


def failed(decision: Decision) -> list[str]:
    return [reason.criterion for reason in decision.reasons if not reason.passed]


@settings(max_examples=25)
@given(metric=metrics, seed=seeds, better=st.booleans(), margin=st.floats(0, 1))
def test_what_was_scored_on_another_holdout_is_not_promoted(
    metric: str, seed: int, better: bool, margin: float
) -> None:
    labels, good = drawn(seed, 6)
    _, weak = drawn(seed, 0)
    new, old = (good, weak) if better else (weak, good)
    rule = policy(metric, LOWEST[metric], margin)
    assert failed(decide(labels, Scores(2, "a" * 64, new), Scores(1, "b" * 64, old), rule)) == ["same holdout"]


@settings(max_examples=25)
@given(metric=metrics, rows=st.integers(0, 300).filter(lambda rows: rows != 120), seed=seeds)
def test_probabilities_of_another_number_of_rows_are_not_promoted(metric: str, rows: int, seed: int) -> None:
    labels, good = drawn(seed, 6)
    other, rule = np.resize(good, rows), policy(metric, LOWEST[metric], 1)
    challenger, champion = Scores(2, "h", other), Scores(1, "h", good)
    assert failed(decide(labels, challenger, None, rule)) == ["valid probabilities of version 2"]
    assert failed(decide(labels, challenger, champion, rule)) == ["valid probabilities of version 2"]
    swapped = decide(labels, replace(champion, version=2), replace(challenger, version=1), rule)
    assert failed(swapped) == ["valid probabilities of version 1"]


@settings(max_examples=5)
@given(metric=metrics, seed=seeds, margin=st.floats(0.001, 1))
def test_the_same_answers_are_not_promoted_whatever_the_margin(metric: str, seed: int, margin: float) -> None:
    labels, good = drawn(seed, 6)
    rule = policy(metric, LOWEST[metric], margin)
    tie = quickly(labels, Scores(2, "h", good.copy()), Scores(1, "h", good), rule)
    assert failed(tie) == ["answers differ from version 1"]


@pytest.mark.parametrize("metric", sorted(metrics_of("binary")))
@settings(max_examples=2)
@given(seed=seeds)
def test_a_much_better_version_is_promoted_and_a_much_worse_one_refused(metric: str, seed: int) -> None:
    labels, good = drawn(seed, 8)
    _, wrong = drawn(seed, -8)
    rule = policy(metric, LOWEST[metric])
    assert quickly(labels, Scores(2, "h", good), Scores(1, "h", wrong), rule).promote
    worse = quickly(labels, Scores(2, "h", wrong), Scores(1, "h", good), rule)
    assert failed(worse) == [f"gain in {metric} over version 1"]


@settings(max_examples=5)
@given(metric=metrics, seed=seeds, margins=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)).map(sorted))
def test_a_wider_margin_refuses_nothing_that_a_narrower_one_promotes(
    metric: str, seed: int, margins: list[float]
) -> None:
    labels, better = drawn(seed, 2)
    _, worse = drawn(seed + 1, 1.5)
    narrow, wide = (
        quickly(labels, Scores(2, "h", worse), Scores(1, "h", better), policy(metric, LOWEST[metric], margin))
        for margin in margins
    )
    assert narrow.promote <= wide.promote


VALUES: dict[str, Callable[[Labels, Floats], float]] = {"roc_auc": roc_auc_score, "log_loss": log_loss}


@settings(max_examples=30)
@given(seed=seeds, minimum=st.floats(0, 1), signal=st.floats(-3, 6))
def test_a_first_version_is_promoted_where_it_meets_the_minimum_and_nowhere_else(
    seed: int, minimum: float, signal: float
) -> None:
    labels, said_ = drawn(seed, signal)
    auc, loss = (value(labels, said_) for value in VALUES.values())
    scores_ = Scores(1, "h", said_)
    assert decide(labels, scores_, None, policy("roc_auc", minimum)).promote == (auc >= minimum)
    assert decide(labels, scores_, None, policy("log_loss", minimum)).promote == (loss <= minimum)


@pytest.mark.parametrize("metric", sorted(VALUES))
def test_a_first_version_that_just_meets_the_minimum_is_promoted(metric: str) -> None:
    value = VALUES[metric](LABELS, GOOD)
    better = 1.0 if metric == "roc_auc" else -1.0
    assert decide(LABELS, Scores(1, "h", GOOD), None, policy(metric, value)).promote
    beyond = float(np.nextafter(value, value + better))
    assert failed(decide(LABELS, Scores(1, "h", GOOD), None, policy(metric, beyond))) == [f"minimum {metric}"]


@settings(max_examples=5)
@given(seed=seeds, signals=st.tuples(st.floats(-8, 8), st.floats(-8, 8)), metric=metrics, minimum=st.floats(0, 1))
def test_a_version_is_promoted_if_and_only_if_every_criterion_is_met(
    seed: int, signals: tuple[float, float], metric: str, minimum: float
) -> None:
    labels, new = drawn(seed, signals[0])
    _, old = drawn(seed, signals[1])
    decision = quickly(labels, Scores(2, "h", new), Scores(1, "h", old), policy(metric, minimum))
    assert decision.promote == all(reason.passed for reason in decision.reasons)
    assert (decision.challenger, decision.champion, len(decision.reasons)) == (2, 1, 6)
