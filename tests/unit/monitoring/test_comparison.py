"""A window against a population: each kind of finding, quiet windows, and two windows in a row."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deployment.monitoring.comparison import compare
from deployment.monitoring.findings import ComparedWindow, confirm
from deployment.monitoring.outcomes.performance import AcceptedLoss, Measured, estimate, measured
from tests.unit.monitoring.samples import LENGTH, START, counted, day_of, payload_row, plan, population, records
from training.population.bins import CategoryBins
from training.population.population import CountedColumn, Population
from training.use_case.monitoring import MonitoringPlan

POPULATION = population()
PLAN = MonitoringPlan(max_p99_ms=100, slices=("job",))


def windows(days: Sequence[Sequence[dict[str, Any]]], how: MonitoringPlan = PLAN) -> list[ComparedWindow]:
    found = counted([row for day in days for row in day], plan(POPULATION, len(days)))
    return confirm([compare(number, found, POPULATION, how) for number in range(len(days))])


def kinds(window: ComparedWindow) -> set[tuple[str, str, str]]:
    return {each.key for each in window.findings}


def drawn(day: int = 0, shift: float = 0.0, seed: int = 7, count: int = 1_000) -> list[dict[str, Any]]:
    return list(day_of(np.random.default_rng(seed + day), day, count, shift))


def test_quiet_windows_have_no_findings() -> None:
    quiet = windows([drawn(0), drawn(1), drawn(2)])
    assert [kinds(window) for window in quiet] == [set(), set(), set()]
    assert all(window.tested for window in quiet)


def test_a_shift_is_found_in_the_input_the_predictions_and_each_slice_and_nowhere_else() -> None:
    found = kinds(windows([drawn(0, shift=0.4)])[0])
    assert {("drift", "age", ""), ("prediction_drift", "probability", "")} <= found
    assert ("slice_drift", "age", "job=clerk") in found
    assert {subject for _, subject, _ in found} == {"age", "probability", "predictions"}


def test_effect_sizes_are_those_of_the_shift() -> None:
    window = windows([drawn(0, shift=0.5, count=4_000)])[0]
    age = next(each for each in window.findings if each.key == ("drift", "age", ""))
    assert age.wasserstein == pytest.approx(0.5, abs=0.06)
    assert age.psi == pytest.approx(0.25, abs=0.08)
    assert "moved by 0.48 standard deviations, on 4,000 rows" in age.sentence()


def test_a_certain_but_tiny_shift_is_no_finding() -> None:
    rows = drawn(0, shift=0.05, count=40_000)
    assert ("drift", "age", "") not in kinds(windows([rows])[0])
    assert ("drift", "age", "") in kinds(windows([rows], PLAN.model_copy(update={"min_effect": 0.0}))[0])


def changed(column: str, value: Any, share: float) -> list[dict[str, Any]]:
    sent = records(np.random.default_rng(3), 1_000)
    for record in sent[: round(1_000 * share)]:
        record[column] = value
    kept = [{**each, "age": each["age"] if isinstance(each["age"], float) else 40.0} for each in sent]
    scored = payload_row(kept)
    return [{**payload_row(kept), "request": row_request(sent), "response": scored["response"]}]


def row_request(sent: Sequence[dict[str, Any]]) -> str:
    import json

    return json.dumps({"dataframe_records": list(sent)})


@pytest.mark.parametrize(
    ("column", "value", "key"),
    [
        ("age", None, ("missing", "age", "")),
        ("job", None, ("missing", "job", "")),
        ("job", "pilot", ("unknown", "job", "")),
        ("owner", "yes", ("unknown", "owner", "")),
        ("age", 500.0, ("out_of_range", "age", "")),
    ],
)
def test_2_percent_of_missing_unknown_or_outside_values_are_found(
    column: str, value: Any, key: tuple[str, str, str]
) -> None:
    assert key in kinds(windows([changed(column, value, 0.02)])[0])


def test_errors_refusals_and_slow_requests_are_found_against_their_limits() -> None:
    rows = drawn(0, count=2_000)
    assert len(rows) == 200
    for number in range(20):
        rows[number] |= {"status": 500}
        rows[number + 20] |= {"duration_ms": 400.0}
        rows[number + 40] |= {"status": 400}
    found = kinds(windows([rows])[0])
    assert {("errors", "requests", ""), ("latency", "100 ms", ""), ("refused", "requests", "")} <= found


def test_only_a_finding_of_two_tested_windows_in_a_row_is_confirmed_and_empty_windows_are_skipped() -> None:
    shifts = [0.4, 0.0, 0.4, None, 0.4, 0.4]
    found = windows([[] if shift is None else drawn(day, shift) for day, shift in enumerate(shifts)])
    age = ("drift", "age", "")
    confirmed = [any(each.key == age and each.confirmed for each in window.findings) for window in found]
    assert confirmed == [False, False, False, False, True, True]
    assert not found[3].tested
    assert found[3].traffic.requests == 0


def test_a_window_without_enough_rows_of_a_slice_neither_confirms_nor_ends_its_finding() -> None:
    few = [
        payload_row([{**record, "job": "cook"} for record in records(np.random.default_rng(9), 300)], START + LENGTH)
    ]
    found = windows([drawn(0, 0.8), few, drawn(2, 0.8)])
    nurse = ("slice_drift", "age", "job=nurse")
    assert [nurse in {each.key for each in window.comparisons} for window in found] == [True, False, True]
    assert [each.key for each in found[2].findings if each.key == nurse and each.confirmed] == [nurse]


def test_categories_that_trade_places_have_an_effect_however_many_there_are() -> None:
    names = tuple(f"job {number:02}" for number in range(20))
    bins = CategoryBins(names, 20)
    column = CountedColumn(bins, np.asarray([500.0] * 20 + [0.0] * 3))
    of = Population({"job": column})
    sent = [{"job": names[number % 20 or 1]} for number in range(2_000)]  # the first one has become the second
    found = counted([payload_row([{**each, "age": 40.0} for each in sent])], plan(of, 1))
    window = compare(0, found, of, PLAN)
    (drift,) = window.findings
    assert drift.key == ("drift", "job", "")
    assert drift.psi is not None
    assert drift.psi > 0.2


def test_a_window_below_the_least_rows_is_shown_and_not_tested_for_drift() -> None:
    window = windows([drawn(0, shift=2, count=100)])[0]
    assert window.traffic.records == 100
    assert not window.findings


def test_the_estimate_follows_a_shift_of_the_inputs_and_is_marked() -> None:
    known = measured(POPULATION, "roc_auc", POPULATION.outcomes)
    assert POPULATION.prediction is not None
    bins = POPULATION.prediction.bins.size
    expected = estimate(POPULATION, "roc_auc", POPULATION.prediction.counts[:bins])
    assert expected is not None
    assert expected.estimated
    assert expected.value == pytest.approx(known.value, abs=0.01)
    # Without spread in the inputs nothing can be ranked.
    narrow = np.zeros(bins)
    narrow[bins // 2 : bins // 2 + 8] = 250
    worse = estimate(POPULATION, "roc_auc", narrow)
    assert worse is not None
    assert worse.value < known.value - 0.15
    found = counted(drawn(0), plan(POPULATION, 1))
    window = compare(0, found, POPULATION, PLAN, known, None, worse, expected)
    assert [each.kind for each in window.findings] == ["estimated_performance"]
    assert window.findings[0].p_value is None


def test_a_loss_on_labelled_rows_is_found_beyond_the_accepted_drop() -> None:
    known = measured(POPULATION, "roc_auc", POPULATION.outcomes)
    inverted = measured(POPULATION, "roc_auc", POPULATION.outcomes[::-1])
    found = counted(drawn(0), plan(POPULATION, 1))
    window = compare(0, found, POPULATION, PLAN, known, inverted)
    assert kinds(window) == {("performance", "roc_auc", "")}
    same = compare(0, found, POPULATION, PLAN, known, known)
    assert kinds(same) == set()
    few = compare(0, found, POPULATION, PLAN, known, replace(inverted, rows=20))
    assert kinds(few) == set()


@pytest.mark.parametrize(
    ("max_drop", "watched", "declared", "accepted"),
    [
        (0.05, "roc_auc", "roc_auc", AcceptedLoss(0.05)),  # a number keeps its meaning
        ("5%", "roc_auc", "roc_auc", AcceptedLoss(0.05, is_share=True)),
        (None, "roc_auc", "roc_auc", AcceptedLoss(0.02)),
        (None, "rmse", "rmse", AcceptedLoss(0.1, is_share=True)),
        (None, "mse", "mse", AcceptedLoss(0.2, is_share=True)),
        (None, "log_loss", "log_loss", AcceptedLoss(0.1, is_share=True)),
        (0.02, "mae", "r2", AcceptedLoss(0.1, is_share=True)),  # a loss of R² is no amount of money
        (0.02, "accuracy", "roc_auc", AcceptedLoss(0.02)),
        ("15%", "mae", "r2", AcceptedLoss(0.15, is_share=True)),
    ],
)
def test_the_accepted_loss_is_an_amount_or_a_share_and_fits_the_watched_metric_by_default(
    max_drop: float | str | None, watched: str, declared: str, accepted: AcceptedLoss
) -> None:
    assert AcceptedLoss.of(max_drop, watched, declared) == accepted


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_a_share_finds_the_same_loss_in_every_currency(unit: float) -> None:
    errors = Population({}, response_field="value", prediction=POPULATION.prediction)

    def of(rows: int, error: float) -> Measured:
        sums = [rows, rows * error, rows * 2 * error**2, rows * 8 * error**4]
        return measured(errors, "mae", np.asarray(sums))

    reference, accepted = of(5_000, 40 * unit), AcceptedLoss.of(None, "mae", "mae")
    found = counted([], plan(POPULATION, 1))
    losses = [
        compare(0, found, POPULATION, PLAN, reference, of(2_000, error * unit), accepted=accepted).findings
        for error in (36, 40, 43, 60)
    ]
    assert [len(each) for each in losses] == [0, 0, 0, 1]
