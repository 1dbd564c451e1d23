"""The decision: golden cases, and what holds for all."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from deployment.decision import Decision, Reason, Scores
from tests.unit import contests
from tests.unit.contests import HASH, INPUTS, LOWEST, OTHER_HASH, failed, judged, policy, said, scores
from training.evaluation import Floats, Labels, metrics_of
from training.intervals import Interval

with (Path(__file__).parent.parent / "golden" / "verdicts.csv").open(encoding="utf-8") as _file:
    CASES = list(csv.DictReader(_file))

DRAW = np.random.default_rng(5)
LABELS = (DRAW.random(400) < 0.4).astype(np.int64)
GOOD, WEAK = (said(LABELS, signal, seed) for signal, seed in ((4.0, 1), (0.5, 2)))
SURE = 0.7 + 0.3 * GOOD  # the same order, and far too sure of label 1
COHORT = np.arange(400) % 2
CHANGING = policy("f1", guards={"max_changed_decisions": 1})
# Good, but for one cohort, of which it knows nothing.
UNEVEN = np.where(COHORT == 1, said(LABELS, 0.0, 3), said(LABELS, 5.0, 4))
ANSWERS = {
    "good": GOOD,
    "weak": WEAK,
    "sure": SURE,
    "uneven": UNEVEN,
    "elsewhere": WEAK,
    "nan": np.where(np.arange(len(LABELS)) == 7, np.nan, GOOD),
    "above": np.where(np.arange(len(LABELS)) == 7, 1.01, GOOD),
    "below": np.where(np.arange(len(LABELS)) == 7, -0.01, GOOD),
    "infinite": np.where(np.arange(len(LABELS)) == 7, np.inf, GOOD),
    "short": GOOD[:-1],
    "long": np.append(GOOD, 0.5),
    "column": GOOD.reshape(-1, 1),
}
MEASURED: dict[str, dict[str, Any]] = {
    "": {},
    "slow": {"p99_ms": 9.0},
    "slower than any clock": {"p99_ms": float("nan")},
    "large": {"size_mb": 9.0},
    "not measured": {"p99_ms": None, "size_mb": None, "inputs": None},
    "another type": {"inputs": INPUTS | {"age": replace(INPUTS["age"], type="string")}},
    "an input less": {"inputs": {"age": INPUTS["age"]}},
    "an input more": {"inputs": INPUTS | {"income": replace(INPUTS["age"], required=True)}},
    "an optional input more": {"inputs": INPUTS | {"income": replace(INPUTS["age"], required=False)}},
    "a stricter input": {"inputs": INPUTS | {"job": replace(INPUTS["job"], required=True)}},
}


@pytest.fixture(autouse=True, scope="module")
def fewer_draws() -> Iterator[None]:
    patch = contests.few_draws()
    yield
    patch.undo()


def of(version: int, kind: str, found: str = "") -> Scores:
    """A version by its answers; `good at 0.9` decides by another threshold than 0.5."""
    answers, _, threshold = kind.partition(" at ")
    holdout = OTHER_HASH if answers == "elsewhere" else HASH
    return scores(version, ANSWERS[answers], holdout, contests.measured(**MEASURED[found]), float(threshold or 0.5))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_verdicts(case: dict[str, str]) -> None:
    champion = of(1, case["champion"]) if case["champion"] else None
    also = yaml.safe_load(case["also"] or "{}")
    rule = policy(case["metric"], float(case["minimum"]), **({"margin": float(case["margin"])} | also))
    standing = yaml.safe_load(case["people"] or "{}")
    slices = {"cohort": COHORT, "row": np.arange(400)}
    decision = judged(LABELS, of(2, case["challenger"], case["measured"]), champion, rule, slices=slices, **standing)
    assert decision.promote == (case["promote"] == "yes")
    assert failed(decision) == [name for name in case["fails"].split("; ") if name]


@settings(max_examples=40)
@given(place=st.integers(0, len(LABELS) - 1), value=st.sampled_from([np.nan, np.inf, -np.inf, -1e-9, 1 + 1e-9]))
def test_one_value_that_is_no_probability_promotes_nothing(place: int, value: float) -> None:
    broken = GOOD.copy()
    broken[place] = value
    for challenger, champion in ((broken, WEAK), (GOOD, broken), (broken, None)):
        assert not judged(LABELS, challenger, champion, policy(margin=1)).promote


@settings(max_examples=20)
@given(place=st.integers(0, len(LABELS) - 1), value=st.sampled_from([np.nan, 2.0, -1.0, 0.5]))
def test_one_label_that_is_none_promotes_nothing(place: int, value: float) -> None:
    broken = LABELS.astype(np.float64)
    broken[place] = value
    assert not judged(broken, GOOD, WEAK, policy(margin=1)).promote


def test_no_rows_promote_nothing() -> None:
    nothing = np.array([], dtype=np.int64)
    assert not judged(nothing, np.array([]), None, policy()).promote


@settings(max_examples=10)
@given(others=st.tuples(st.integers(1, 4), st.integers(1, 4)).filter(lambda pair: pair != (2, 1)))
def test_scores_of_other_versions_than_those_that_stand_promote_nothing(others: tuple[int, int]) -> None:
    one, other = (scores(version, answers) for version, answers in zip(others, (GOOD, WEAK), strict=True))
    decision = judged(LABELS, one, other, policy(margin=1))
    assert set(failed(decision)) <= {"valid answers of version 2", "valid answers of version 1"}
    assert not decision.promote


def test_a_champion_that_was_not_scored_promotes_nothing_and_neither_does_one_that_is_none() -> None:
    from deployment.decision import Rows, Standing
    from deployment.promotion import decide

    rows = Rows("binary", HASH, LABELS)
    missing = decide(rows, scores(2, GOOD), None, policy(), Standing(2, 1))
    assert failed(missing) == ["valid answers of version 1"]
    stranger = decide(rows, scores(2, GOOD), scores(1, WEAK), policy(), Standing(2, None))
    assert failed(stranger) == ["valid answers of version None"]


@settings(max_examples=10)
@given(thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_each_version_is_measured_by_its_own_threshold(thresholds: tuple[float, float]) -> None:
    new, old = (scores(version, GOOD, threshold=each) for version, each in zip((2, 1), thresholds, strict=True))
    by_threshold = [each <= GOOD for each in thresholds]
    reasons = {each.criterion: each for each in judged(LABELS, new, old, CHANGING).reasons}
    gain, changed = reasons["gain in f1 over version 1"], reasons["share of changed decisions"]
    expected = [f1_score(LABELS, said, zero_division=0) for said in by_threshold]
    assert [gain.values["version 2"], gain.values["version 1"]] == pytest.approx(expected)
    share = float(np.mean(by_threshold[0] != by_threshold[1]))
    assert changed.values["version 2"] == pytest.approx(share)
    assert reasons["answers differ from version 1"].passed is (share > 0)


@settings(max_examples=10)
@given(
    threshold=st.sampled_from([np.nan, np.inf, -np.inf, -1e-9, 1 + 1e-9]),
    metric=st.sampled_from(sorted(metrics_of("binary"))),
)
def test_a_threshold_that_is_no_probability_promotes_nothing(threshold: float, metric: str) -> None:
    broken, rule = scores(2, GOOD, threshold=threshold), policy(metric, margin=1)
    assert failed(judged(LABELS, broken, WEAK, rule)) == ["valid answers of version 2"]
    assert failed(judged(LABELS, broken, None, rule)) == ["valid answers of version 2"]
    assert failed(judged(LABELS, GOOD, replace(broken, version=1), rule)) == ["valid answers of version 1"]


def test_a_decision_repeats_itself_and_its_digest_names_it() -> None:
    first, again = (judged(LABELS, GOOD, WEAK, policy()) for _ in range(2))
    other = judged(LABELS, GOOD, WEAK, policy(margin=0.006))
    assert first == again
    assert first.digest() == again.digest() != other.digest()


def test_a_summary_says_what_was_not_met() -> None:
    refused = judged(LABELS, GOOD, None, policy(minimum=0.999))
    assert refused.summary().startswith("minimum roc_auc: required >= 0.999, found 0.9")
    assert judged(LABELS, GOOD, None, policy()).summary() == "version 2 meets all 4 criteria"


def test_a_reason_says_values_limit_and_interval() -> None:
    gain = judged(LABELS, GOOD, WEAK, policy()).reasons[-2]
    better = roc_auc_score(LABELS, GOOD) - roc_auc_score(LABELS, WEAK)
    assert gain.criterion == "gain in roc_auc over version 1"
    assert gain.values == {"version 2": roc_auc_score(LABELS, GOOD), "version 1": roc_auc_score(LABELS, WEAK)}
    assert gain.limit == -0.005
    assert gain.interval is not None
    assert gain.interval.low < better < gain.interval.high
    assert gain.interval.value == pytest.approx(better)
    assert gain.interval.confidence == pytest.approx(0.9)


PINNED = Decision(
    3,
    2,
    "c" * 64,
    promote=False,
    reasons=(
        Reason("minimum roc_auc", ">= 0.6", "0.7000", passed=True, values={"version 3": 0.7}, limit=0.6),
        Reason("same holdout", "aaa", "bbb", passed=False),
        Reason("gain", "above 0", "?", passed=False, interval=Interval(0.1, float("nan"), 0.2, 0.9)),
    ),
)


def test_the_digest_of_a_decision_stays_the_same_from_release_to_release() -> None:
    assert json.loads(PINNED.to_json())["reasons"][0] == {
        "criterion": "minimum roc_auc",
        "required": ">= 0.6",
        "found": "0.7000",
        "passed": True,
        "values": {"version 3": 0.7},
        "limit": 0.6,
        "interval": None,
    }
    assert PINNED.digest() == "5c7248fa22ebc642bac39f5ef58494be85cbddbb5e95ea8bbdaf19ba3210fe34"


def test_a_decision_comes_back_from_its_json_and_what_was_no_number_is_none_again() -> None:
    again = Decision.from_json(PINNED.to_json())
    assert again.to_json() == PINNED.to_json()
    assert again.reasons[:2] == PINNED.reasons[:2]
    assert again.reasons[2].interval is not None
    assert isnan(again.reasons[2].interval.low)


@pytest.mark.parametrize(
    "changed",
    [
        replace(PINNED, challenger=4),
        replace(PINNED, champion=None),
        replace(PINNED, holdout="d" * 64),
        replace(PINNED, promote=True),
        replace(PINNED, reasons=PINNED.reasons[:1]),
        replace(PINNED, reasons=PINNED.reasons[::-1]),
        *(
            replace(PINNED, reasons=(replace(PINNED.reasons[0], **change), *PINNED.reasons[1:]))
            for change in (
                {"criterion": "minimum f1"},
                {"required": ">= 0.5"},
                {"found": "0.7001"},
                {"passed": False},
                {"values": {"version 3": 0.71}},
                {"limit": 0.5},
                {"interval": Interval(0.7, 0.6, 0.8)},
            )
        ),
    ],
)
def test_the_digest_changes_with_any_part_of_the_decision(changed: Decision) -> None:
    assert changed.digest() != PINNED.digest()


metrics = st.sampled_from(["roc_auc", "log_loss"])
seeds = st.integers(0, 2**32 - 1)


def drawn(seed: int, signal: float) -> tuple[Labels, Floats]:
    """A holdout of 120 rows, half of them of each label, and what a model with this signal says of them."""
    y = contests.labels(seed)
    return y, said(y, signal, seed, noise=0.5)


@settings(max_examples=25)
@given(metric=metrics, seed=seeds, which=st.sampled_from(["challenger", "champion", "both"]), margin=st.floats(0, 1))
def test_what_was_scored_on_another_holdout_is_not_promoted(
    metric: str, seed: int, which: str, margin: float
) -> None:
    y, good = drawn(seed, 6)
    _, weak = drawn(seed, 0)
    new = scores(2, good, HASH if which == "champion" else OTHER_HASH)
    old = scores(1, weak, HASH if which == "challenger" else OTHER_HASH)
    assert failed(judged(y, new, old, policy(metric, margin=margin))) == ["same holdout"]


@settings(max_examples=25)
@given(metric=metrics, rows=st.integers(0, 300).filter(lambda rows: rows != 120), seed=seeds)
def test_probabilities_of_another_number_of_rows_are_not_promoted(metric: str, rows: int, seed: int) -> None:
    y, good = drawn(seed, 6)
    other, rule = np.resize(good, rows), policy(metric, margin=1)
    assert failed(judged(y, other, None, rule)) == ["valid answers of version 2"]
    assert failed(judged(y, other, good, rule)) == ["valid answers of version 2"]
    assert failed(judged(y, good, other, rule)) == ["valid answers of version 1"]


@settings(max_examples=5)
@given(metric=metrics, seed=seeds, margin=st.floats(0.001, 1))
def test_the_same_answers_are_not_promoted_whatever_the_margin(metric: str, seed: int, margin: float) -> None:
    y, good = drawn(seed, 6)
    assert failed(judged(y, good.copy(), good, policy(metric, margin=margin))) == ["answers differ from version 1"]


@pytest.mark.parametrize("metric", sorted(metrics_of("binary")))
@settings(max_examples=2)
@given(seed=seeds)
def test_a_much_better_version_is_promoted_and_a_much_worse_one_refused(metric: str, seed: int) -> None:
    y, good = drawn(seed, 8)
    _, wrong = drawn(seed, -8)
    rule = policy(metric, test="superiority")
    assert judged(y, good, wrong, rule).promote
    assert failed(judged(y, wrong, good, rule)) == [f"gain in {metric} over version 1"]


@settings(max_examples=5)
@given(metric=metrics, seed=seeds, margins=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)).map(sorted))
def test_a_wider_margin_refuses_nothing_that_a_narrower_one_promotes(
    metric: str, seed: int, margins: list[float]
) -> None:
    y, better = drawn(seed, 2)
    worse = said(y, 1.5, seed + 1)
    narrow, wide = (judged(y, worse, better, policy(metric, margin=margin)) for margin in margins)
    assert narrow.promote <= wide.promote


@settings(max_examples=8)
@given(metric=metrics, seed=seeds, signals=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), margin=st.floats(0, 0.3))
def test_what_is_superior_is_not_inferior(
    metric: str, seed: int, signals: tuple[float, float], margin: float
) -> None:
    y = contests.labels(seed)
    new, old = (said(y, signal, seed + place) for place, signal in enumerate(signals))
    superior = judged(y, new, old, policy(metric, margin=margin, test="superiority")).promote
    assert superior <= judged(y, new, old, policy(metric, margin=margin)).promote


VALUES: dict[str, Callable[[Labels, Floats], float]] = {"roc_auc": roc_auc_score, "log_loss": log_loss}


@settings(max_examples=30)
@given(seed=seeds, minimum=st.floats(0, 1), signal=st.floats(-3, 6))
def test_a_first_version_is_promoted_where_it_meets_the_minimum_and_nowhere_else(
    seed: int, minimum: float, signal: float
) -> None:
    y, told = drawn(seed, signal)
    auc, loss = (value(y, told) for value in VALUES.values())
    assert judged(y, told, None, policy("roc_auc", minimum)).promote == (auc >= minimum)
    assert judged(y, told, None, policy("log_loss", minimum)).promote == (loss <= minimum)


@pytest.mark.parametrize("metric", sorted(VALUES))
def test_a_first_version_that_just_meets_the_minimum_is_promoted(metric: str) -> None:
    value = VALUES[metric](LABELS, GOOD)
    better = 1.0 if metric == "roc_auc" else -1.0
    assert judged(LABELS, GOOD, None, policy(metric, value)).promote
    beyond = float(np.nextafter(value, value + better))
    assert failed(judged(LABELS, GOOD, None, policy(metric, beyond))) == [f"minimum {metric}"]


@settings(max_examples=5)
@given(seed=seeds, signals=st.tuples(st.floats(-8, 8), st.floats(-8, 8)), metric=metrics, minimum=st.floats(0, 1))
def test_a_version_is_promoted_if_and_only_if_every_criterion_is_met(
    seed: int, signals: tuple[float, float], metric: str, minimum: float
) -> None:
    y, new = drawn(seed, signals[0])
    old = said(y, signals[1], seed + 1)
    decision = judged(y, new, old, policy(metric, minimum))
    assert decision.promote == all(reason.passed for reason in decision.reasons)
    assert (decision.challenger, decision.champion, len(decision.reasons)) == (2, 1, 8)


def test_the_lowest_minimum_of_a_metric_is_met_by_every_version() -> None:
    assert set(LOWEST) >= set(metrics_of("binary"))
