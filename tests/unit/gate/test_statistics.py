"""The statistics of the gate: dependent rows, repeated attempts, the best former champion, and slices."""

from collections.abc import Mapping
from math import isnan
from typing import Any

import numpy as np
import pytest

from benchmarks.harness import simulated_models
from benchmarks.harness.simulated_models import STRUCTURES, Challengers, dependent_pair, weekly_retrainings
from deployment.gate.criteria.comparison import bounds, gain, spent
from deployment.gate.criteria.decide import ATTEMPT, decide
from deployment.gate.criteria.decision import (
    CriterionResult,
    Decision,
    FormerChampion,
    GateState,
    HoldoutAttempt,
    HoldoutRows,
)
from deployment.gate.criteria.guards import compare_slice, smallest_shown
from deployment.gate.former_champion import best_former
from lakehouse.arrays import Floats
from scoring.tasks import BINARY
from tests.unit.gate.contests import GOOD, HASH, LABELS, WEAK, failed, policy, scores, simulated
from training.evaluation.bootstrap import Interval
from training.evaluation.resampling import Dependence
from training.evaluation.weighted_metrics import ScoredRows

ROWS = HoldoutRows(BINARY, HASH, LABELS)


def decided(
    challenger: Floats, champion: Floats, rows: HoldoutRows = ROWS, state: GateState | None = None, **criteria: Any
) -> Mapping[str, CriterionResult]:
    decision = decide(rows, scores(2, challenger), scores(1, champion), policy(**criteria), state or GateState(2, 1))
    return {reason.criterion: reason for reason in decision.reasons}


# Dependent rows.


def test_copies_of_rows_are_no_evidence() -> None:
    """40 entities of 10 equal rows decide like 40 rows, not like 400."""
    y, new, old = (
        np.asarray(np.repeat(each[:40], 10), dtype=np.float64)
        for each in (LABELS, simulated(LABELS, 1.4, 3), simulated(LABELS, 1.2, 4))
    )
    copied = HoldoutRows(BINARY, HASH, y, dependence=Dependence(np.repeat(np.arange(40), 10)))
    reasons = [
        decided(new, old, rows, test="superiority", margin=0)["gain in roc_auc over version 1"]
        for rows in (HoldoutRows(BINARY, HASH, y), copied)
    ]
    assert [reason.passed for reason in reasons] == [True, False]
    assert reasons[1].found.endswith("drawn: 40 entities")


def test_equal_models_rarely_pass_on_dependent_rows() -> None:
    """The benchmark measures the rates; here rows alone err on some of the pairs, and the units on fewer."""
    by_rows, by_units = np.sum([dependent_pair("10 rows an entity", seed=seed) for seed in range(20)], axis=0)
    assert by_units < by_rows
    assert set(STRUCTURES) >= {"autocorrelated times", "entities and times"}


def test_slices_and_the_report_draw_entities_too() -> None:
    rows = ScoredRows(LABELS, GOOD, 0.5, Dependence(np.repeat(np.arange(40), 10)))
    assert rows.take(LABELS == 1).dependence.keys is not None
    assert "40 entities" in str(decided(GOOD, WEAK, HoldoutRows(BINARY, HASH, LABELS, dependence=rows.dependence)))


# Repeated attempts.


def test_errors_of_all_attempts_add_up_to_the_stated_one() -> None:
    spent_on = [1 - spent(0.95, attempt) for attempt in range(1, 10_000)]
    assert sum(spent_on) < 0.05
    assert sum(spent_on) == pytest.approx(0.05, rel=1e-3)
    assert spent_on == sorted(spent_on, reverse=True)


def test_bounds_move_outward_with_each_attempt() -> None:
    drawn = np.random.default_rng(0).normal(size=500)
    lows = [bounds(drawn, spent(0.95, attempt))[0] for attempt in range(1, 60)]
    assert lows == sorted(lows, reverse=True)
    assert lows[25] == pytest.approx(-3.92 * drawn.std(), rel=0.1)


def test_a_late_attempt_needs_a_larger_gain_and_the_verdict_says_so() -> None:
    new = simulated(LABELS, 1.3, 3)
    first, late = (
        decided(new, WEAK, state=GateState(2, 1, attempt=attempt), test="superiority", margin=0)
        for attempt in (HoldoutAttempt(), HoldoutAttempt(40, tuple(range(3, 42))))
    )
    assert first["gain in roc_auc over version 1"].passed
    assert not late["gain in roc_auc over version 1"].passed
    assert late[ATTEMPT].found == "0.0019% for attempt 40, after 39 comparisons on these rows"
    assert late[ATTEMPT].values == {"attempt": 40, "error rate": pytest.approx(0.05 * 6 / (np.pi * 40) ** 2)}


def test_weekly_retrainings_seldom_promote_an_equal_model() -> None:
    plan = Challengers(weeks=26, step=0.0, superior=True)
    before, after = (
        sum(any(weekly_retrainings(plan, guarded=guarded, seed=seed).promoted) for seed in range(6))
        for guarded in (False, True)
    )
    assert after < before


def test_the_benchmark_has_the_bounds_of_the_gate() -> None:
    draw = np.random.default_rng(1)
    new, old = (draw.random(300) < 0.8 for _ in range(2))
    ones = np.ones(300, dtype=np.int64)
    rows = [ScoredRows(ones, right.astype(np.float64), 0.5) for right in (new, old)]
    expected = gain("accuracy", rows[0], rows[1], 0.99)
    models = (new.astype(np.float64), 0.8), (old.astype(np.float64), 0.8)
    found = [simulated_models._lower_bound(models, slice(0, 300), 0.99, seed) for seed in range(50)]
    assert np.mean(found) - expected.value == pytest.approx(expected.low - expected.value, rel=0.1)


# The best former champion.


def with_former(former: FormerChampion) -> Decision:
    state = GateState(2, 1, former=former)
    return decide(ROWS, scores(2, simulated(LABELS, 0.6, 9)), scores(1, WEAK), policy(margin=0.2), state)


def test_a_challenger_far_below_the_best_former_champion_is_refused() -> None:
    assert with_former(FormerChampion()).promote
    refused = with_former(FormerChampion(scores(7, GOOD)))
    assert failed(refused) == ["gain in roc_auc over version 7, the best former champion"]


def test_a_former_champion_that_cannot_be_compared_is_named() -> None:
    broken = scores(7, np.full(len(LABELS), np.nan))
    decision = with_former(FormerChampion(broken, ("version 6: it was deleted",)))
    assert decision.promote
    row = next(each for each in decision.reasons if each.criterion == "former champions that are not compared")
    assert row.found == "version 6: it was deleted; version 7: 0 of 400 valid predictions"


def promoted(version: int, over: Mapping[str, float], *, recorded: bool = True) -> Decision:
    """The verdict that promoted a version, with the lower bound of its gain over each other."""
    reasons = [
        CriterionResult(f"gain in roc_auc over version {name}", "", "", passed=True, interval=Interval(0, low, 1))
        for name, low in over.items()
    ]
    attempt = [CriterionResult(ATTEMPT, "", "", passed=True)] if recorded else []
    champion = int(next(iter(over)))
    return Decision(version, champion, HASH, promote=True, reasons=(*attempt, *reasons))


@pytest.mark.parametrize(
    ("verdicts", "best"),
    [
        ({}, 1),
        ({2: promoted(2, {"1": -0.01})}, 1),
        ({2: promoted(2, {"1": 0.01})}, 2),
        ({2: promoted(2, {"1": -0.01}), 3: promoted(3, {"2": 0.01, "1, the best former champion": -0.01})}, 1),
        ({2: promoted(2, {"1": -0.01}), 3: promoted(3, {"2": 0.01, "1, the best former champion": 0.01})}, 3),
        ({2: promoted(2, {"1": 0.01}, recorded=False), 3: promoted(3, {"2": -0.01}, recorded=False)}, 2),
        ({3: promoted(3, {"2": 0.01}, recorded=False)}, 1),
    ],
    ids=[
        "no verdict can be read",
        "no worse, and not shown better",
        "shown better",
        "better than the champion and not than the best",
        "better than both",
        "verdicts of an earlier release",
        "a verdict is lost",
    ],
)
def test_the_best_former_champion_is_replaced_only_by_a_better_one(
    verdicts: Mapping[int, Decision], best: int
) -> None:
    stack = [1, 2, 3] if 3 in verdicts else [1, 2]
    assert best_former(stack, verdicts.get, "roc_auc") == best
    assert best_former(stack, verdicts.get, "log_loss") == 1


def test_small_losses_do_not_add_up() -> None:
    plan = Challengers(weeks=30, step=-0.005, superior=False, follows=True)
    before, after = (
        [weekly_retrainings(plan, guarded=guarded, seed=seed).accuracy - 0.75 for seed in range(4)]
        for guarded in (False, True)
    )
    assert np.mean(before) < np.mean(after)
    assert min(after) > -0.01


# Slices.


def part(signal: float, seed: int, rows: int) -> ScoredRows:
    y = (np.random.default_rng(rows).random(rows) < 0.4).astype(np.int64)
    return ScoredRows(y, simulated(y, signal, seed), 0.5)


def test_a_slice_is_refused_only_if_the_drop_is_no_chance_result() -> None:
    rule = policy(guards={"max_slice_drop": 0.03})
    chance, shown = (
        compare_slice("slice", {2: part(1.3, 1, rows), 1: part(2.0, 2, rows)}, rule, 1 - 0.05 / 20)
        for rows in (150, 3_000)
    )
    assert chance.interval is not None
    assert shown.interval is not None
    assert max(chance.interval.value, shown.interval.value) < -0.03
    assert (chance.passed, shown.passed) == (True, False)
    assert "an error rate of 0.25%" in chance.required
    smallest = chance.values["smallest drop shown"]
    assert smallest == smallest_shown(chance.interval, 0.03, 1 - 0.05 / 20)
    assert f"which show a drop of {smallest:.4f} in 80% of cases" in chance.found


def test_a_small_drop_is_never_refused() -> None:
    rule = policy(guards={"max_slice_drop": 0.2})
    found = compare_slice("slice", {2: part(1.3, 1, 3_000), 1: part(2.0, 2, 3_000)}, rule, 0.95)
    assert found.interval is not None
    assert found.interval.high < 0
    assert found.passed


def test_a_slice_with_few_of_a_label_is_left_out() -> None:
    y = (np.arange(300) < 2).astype(np.int64)
    new, old = (ScoredRows(y, simulated(y, signal, 3), 0.5) for signal in (0.0, 6.0))
    found = compare_slice("slice", {2: new, 1: old}, policy(), 0.95)
    assert found.passed
    assert found.found == "left out: roc_auc is undefined on a resample of 300 rows"
    assert found.interval is None


def test_an_attempt_without_defined_bounds_is_refused() -> None:
    one_entity = HoldoutRows(BINARY, HASH, LABELS, dependence=Dependence(np.zeros(400)))
    reason = decided(GOOD, WEAK, one_entity)["gain in roc_auc over version 1"]
    assert not reason.passed
    assert reason.interval is not None
    assert isnan(reason.interval.low)
