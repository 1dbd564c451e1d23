"""The decision: golden cases, and what holds for all."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployment.promotion import Scores, decide
from training.evaluation import Floats
from training.use_case import Promotion

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
    "short": GOOD[:-1],
}


def scores(version: int, kind: str) -> Scores:
    return Scores(version, "b" * 64 if kind == "elsewhere" else "a" * 64, ANSWERS[kind])


def policy(metric: str = "roc_auc", minimum: float = 0.5, margin: float = 0.005) -> Promotion:
    return Promotion(metric=metric, minimum=minimum, non_inferiority_margin=margin)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_verdicts(case: dict[str, str]) -> None:
    champion = scores(1, case["champion"]) if case["champion"] else None
    rule = policy(case["metric"], float(case["minimum"]), float(case["margin"]))
    decision = decide(LABELS, scores(2, case["challenger"]), champion, rule)
    assert decision.promote == (case["promote"] == "yes")
    failed = [reason.criterion for reason in decision.reasons if not reason.passed]
    assert (case["fails"] in failed) if case["fails"] else failed == []


@settings(max_examples=40, deadline=None)
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
    first, again = (decide(LABELS, scores(2, "good"), scores(1, "weak"), policy()) for _ in range(2))
    other = decide(LABELS, scores(3, "good"), scores(1, "weak"), policy())
    assert first == again
    assert first.digest() == again.digest() != other.digest()


def test_a_summary_says_what_was_not_met() -> None:
    refused = decide(LABELS, scores(2, "good"), None, policy(minimum=0.999))
    assert refused.summary().startswith("minimum roc_auc: required >= 0.999, found 0.9")
    promoted = decide(LABELS, scores(2, "good"), None, policy())
    assert promoted.summary() == "version 2 meets all 2 criteria"
