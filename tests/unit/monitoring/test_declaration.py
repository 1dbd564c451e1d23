"""Keys of `monitoring` in a use case, and the decision table."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from deployment.monitoring.decision import EXIT_CODES, current_findings, decide
from deployment.monitoring.findings import ComparedWindow, Comparison
from tests.unit.monitoring.samples import counted, plan, population
from training.use_case.monitoring import ActionTable, MonitoringPlan, parse_length

TRAFFIC = counted([], plan(population(200))).traffic(0)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"window": "a day"}, "should match pattern"),
        ({"actions": {"estimated_performance": "retrain"}}, "Input should be 'nothing' or 'alert'"),
        ({"actions": {"drift": "panic"}}, "Input should be 'nothing', 'alert', 'retrain' or 'roll_back'"),
        ({"actions": {"drifts": "alert"}}, "Extra inputs are not permitted"),
        ({"labels": {"table": "gold.x", "column": "y"}}, "labels need request_id, or entity, to find"),
        (
            {"labels": {"table": "gold.x", "column": "y", "request_id": "id", "entity": ["k"], "timestamp": "at"}},
            "either request_id or entity",
        ),
        ({"alerts": "/etc/alerts"}, "a path below the project folder"),
        ({"alerts": "../alerts"}, "a path below the project folder"),
        ({"max_drop": "5 %"}, "should match pattern"),
        ({"max_drop": "-5%"}, "should match pattern"),
        ({"max_drop": "a bit"}, "should match pattern"),
        ({"max_drop": -0.1}, "greater than or equal to 0"),
        ({"min_rows": 5}, "greater than or equal to 20"),
    ],
)
def test_a_wrong_declaration_is_refused(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MonitoringPlan.model_validate(declared)


def test_lengths_of_time() -> None:
    assert parse_length("30m") == timedelta(minutes=30)
    with pytest.raises(ValueError, match="'1 day' is not a length of time; examples: 1d"):
        parse_length("1 day")


def finding(kind: str, *, confirmed: bool, p: float = 0.001) -> Comparison:
    return Comparison(kind, "age", "", 500, 900, 0.2, 0.1, p, found=True, confirmed=confirmed)


def window(number: int, *findings: Comparison, tested: bool = True) -> ComparedWindow:
    return ComparedWindow(number, TRAFFIC, findings, tested=tested)


def test_the_strongest_action_of_the_confirmed_findings_of_the_last_tested_window_wins() -> None:
    table = ActionTable(drift="alert", missing="roll_back", performance="retrain")
    old = window(0, finding("missing", confirmed=True))
    last = window(
        1,
        finding("drift", confirmed=True, p=1e-9),  # more certain, and calls for less
        finding("performance", confirmed=True),
        finding("missing", confirmed=False),
    )
    decision = decide([old, last, window(2, tested=False)], table)
    assert (decision.action, decision.window) == ("retrain", 1)
    assert EXIT_CODES[decision.action] == 5
    assert [each.kind for each, _ in decision.findings] == ["performance", "drift"]


def test_a_loss_of_performance_counts_in_the_last_window_with_labels() -> None:
    labelled, last = window(0, finding("performance", confirmed=True)), window(1, finding("drift", confirmed=True))
    decision = decide([labelled, last], ActionTable())
    assert (decision.action, decision.window) == ("retrain", 1)
    assert [each.kind for _, each in current_findings([labelled, last])] == ["performance", "drift"]
    recovered = window(1, replace(finding("performance", confirmed=False), found=False))
    assert decide([labelled, recovered, last], ActionTable()).action == "alert"


def test_a_finding_whose_action_is_nothing_recommends_nothing() -> None:
    decision = decide([window(0, finding("drift", confirmed=True))], ActionTable(drift="nothing"))
    assert (decision.action, decision.findings) == ("nothing", ())
    assert decide([window(0, tested=False)], ActionTable()).window is None
    assert np.isnan(TRAFFIC.quantile(0.99))
