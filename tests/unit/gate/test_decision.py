"""A decision: its summary, JSON and digest."""

import json
from dataclasses import replace
from math import isnan

import pytest
from sklearn.metrics import roc_auc_score

from deployment.gate.criteria.comparison import spent
from deployment.gate.criteria.decision import CriterionResult, Decision
from tests.unit.gate.contests import GOOD, LABELS, WEAK, judged, policy
from training.evaluation.bootstrap import Interval


def test_equal_decisions_have_equal_digests() -> None:
    first, again = (judged(LABELS, GOOD, WEAK, policy()) for _ in range(2))
    other = judged(LABELS, GOOD, WEAK, policy(margin=0.006))
    assert first == again
    assert first.digest() == again.digest() != other.digest()


def test_summary_lists_failed_criteria() -> None:
    refused = judged(LABELS, GOOD, None, policy(minimum=0.999))
    assert refused.summary().startswith("minimum roc_auc: required >= 0.999, found 0.9")
    assert judged(LABELS, GOOD, None, policy()).summary() == "version 2 meets all 5 criteria"


def test_reasons_hold_values_limit_and_interval() -> None:
    gain = judged(LABELS, GOOD, WEAK, policy()).reasons[-2]
    better = roc_auc_score(LABELS, GOOD) - roc_auc_score(LABELS, WEAK)
    assert gain.criterion == "gain in roc_auc over version 1"
    assert gain.values == {"version 2": roc_auc_score(LABELS, GOOD), "version 1": roc_auc_score(LABELS, WEAK)}
    assert gain.limit == -0.005
    assert gain.interval is not None
    assert gain.interval.low < better < gain.interval.high
    assert gain.interval.value == pytest.approx(better)
    assert gain.interval.confidence == pytest.approx(2 * spent(0.95, 1) - 1)


PINNED = Decision(
    3,
    2,
    "c" * 64,
    promote=False,
    reasons=(
        CriterionResult("minimum roc_auc", ">= 0.6", "0.7000", passed=True, values={"version 3": 0.7}, limit=0.6),
        CriterionResult("same holdout", "aaa", "bbb", passed=False),
        CriterionResult("gain", "above 0", "?", passed=False, interval=Interval(0.1, float("nan"), 0.2, 0.9)),
    ),
)


def test_digest_is_stable_between_releases() -> None:
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


def test_decision_survives_json_with_nan() -> None:
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
def test_digest_changes_with_every_field(changed: Decision) -> None:
    assert changed.digest() != PINNED.digest()
