"""Comparison of a window with the population of the version: every test, and which of them are findings."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import stats

from deployment.monitoring.counted import Counted, WindowTraffic
from deployment.monitoring.counting import ALL, PREDICTION
from deployment.monitoring.findings import ComparedWindow, Comparison
from deployment.monitoring.outcomes.forecasts import Coverage
from deployment.monitoring.outcomes.performance import NO_LOSS, AcceptedLoss, Measured
from deployment.monitoring.statistics import (
    above_limit_p,
    benjamini_hochberg,
    chi_square_p,
    coarse,
    higher_share_p,
    ks_p,
    psi,
    wasserstein,
)
from lakehouse.arrays import Floats
from training.population.bins import NumberBins
from training.population.population import CountedColumn, Population
from training.use_case.monitoring import MonitoringPlan

LEAST_REQUESTS = 20  # of a window, for tests of requests
CERTAIN = 3.0  # standard errors by which an estimated loss must exceed the accepted one


def compare(  # noqa: PLR0913, PLR0917  (everything that is known about a window)
    number: int,
    counted: Counted,
    population: Population,
    plan: MonitoringPlan,
    reference: Measured | None = None,
    performance: Measured | None = None,
    estimate: Measured | None = None,
    expected_estimate: Measured | None = None,
    accepted: AcceptedLoss = NO_LOSS,
    coverages: tuple[Coverage | None, Coverage | None] = (None, None),
) -> ComparedWindow:
    """Test one window against the population.

    All tests of a window share one rate of false alarms, so that more columns and slices do not mean more alarms.

    Args:
        reference: the watched metric on the holdout.
        performance, estimate: the metric on labelled rows of the window, and its estimate.
        expected_estimate: the estimate on the holdout's own predictions.
        accepted: loss of the watched metric that is no finding.
        coverages: coverage of a forecast's bounds on the holdout, and on labelled rows of the window.
    """
    traffic = counted.traffic(number)
    tests = list(_of_requests(traffic, plan))
    tests += [test for each in _slices(counted, number, population, plan) for test in each]
    if reference is not None and performance is not None and performance.rows >= plan.min_rows:
        tests += _of_performance(reference, performance, accepted)
    tests += _of_coverage(*coverages, plan)
    rejected = benjamini_hochberg([test.p_or_one for test in tests], plan.false_alarms)
    judged = [
        replace(test, found=bool(hit) and (test.psi is None or test.psi >= plan.min_effect))
        for test, hit in zip(tests, rejected, strict=True)
    ]
    if estimate is not None and expected_estimate is not None and estimate.rows >= plan.min_rows:
        judged.append(_of_estimate(expected_estimate, estimate, accepted))
    return ComparedWindow(
        number, traffic, tuple(judged), performance, estimate, tested=bool(tests), coverage=coverages[1]
    )


def _of_requests(traffic: WindowTraffic, plan: MonitoringPlan) -> Iterator[Comparison]:
    if traffic.requests < LEAST_REQUESTS:
        return
    limits = [
        ("errors", "requests", traffic.failed, traffic.requests, plan.max_error_share),
        ("refused", "requests", traffic.refused, traffic.requests, plan.max_refused_share),
    ]
    if plan.max_p99_ms is not None and traffic.timed >= LEAST_REQUESTS:
        limits.append(("latency", f"{plan.max_p99_ms:g} ms", traffic.slow, traffic.timed, 0.01))
    for kind, subject, hits, rows, limit in limits:
        p = above_limit_p(hits, rows, limit)
        yield Comparison(kind, subject, ALL, rows, 0, hits / rows, limit, p)


def _slices(
    counted: Counted, number: int, population: Population, plan: MonitoringPlan
) -> Iterator[Iterator[Comparison]]:
    for name, column in population.inputs.items():
        window = counted.column(number, name, len(column.counts))
        if _sent(column, window) >= plan.min_rows:
            yield _of_input(name, column, window)
    if population.prediction is not None:
        window = counted.column(number, PREDICTION, len(population.prediction.counts))
        if _sent(population.prediction, window) >= plan.min_rows:
            yield _drift("prediction_drift", population.response_field, population.prediction, window)
    for slice_name, slice_ in population.slices.items():
        if slice_name not in plan.slices:
            continue
        for category, label in enumerate(slice_.bins.labels()):
            named = f"{slice_name}={label}"
            columns = {
                name: (replace(column, counts=slice_.inputs[name][category]), name)
                for name, column in population.inputs.items()
                if name != slice_.column and name in slice_.inputs
            }
            if population.prediction is not None and slice_.prediction is not None:
                columns["predictions"] = (
                    replace(population.prediction, counts=slice_.prediction[category]),
                    PREDICTION,
                )
            for subject, (column, stored) in columns.items():
                window = counted.column(number, stored, len(column.counts), named)
                if min(_sent(column, window), _sent(column, column.counts)) >= plan.min_rows:
                    yield _drift("slice_drift", subject, column, window, named)


def _sent(column: CountedColumn, counts: Floats) -> float:
    """Number of values, missing and unknown ones included."""
    return float(counts[: column.bins.size + 2].sum())


def _of_input(name: str, column: CountedColumn, window: Floats) -> Iterator[Comparison]:
    yield from _drift("drift", name, column, window)
    size = column.bins.size
    rows, known = _sent(column, window), _sent(column, column.counts)
    missing, unknown, outside = window[size:]
    reference_missing, reference_unknown, _ = column.counts[size:]
    shares = [("missing", missing, reference_missing)]
    # Where both count as missing in the reference, that is the most that was unknown.
    shares.append(("unknown", unknown, reference_missing if column.merged else reference_unknown))
    if isinstance(column.bins, NumberBins):
        shares.append(("out_of_range", outside, 0.0))
    for kind, hits, before in shares:
        p = higher_share_p((before, known), (hits, rows))
        yield Comparison(kind, name, ALL, int(rows), int(known), hits / rows, before / max(known, 1), p)


def _drift(kind: str, name: str, column: CountedColumn, window: Floats, slice_: str = ALL) -> Iterator[Comparison]:
    bins, size = column.bins, column.bins.size
    if column.merged:  # a category that is missing or unknown is one more category
        reference = np.append(column.counts[:size], column.counts[size : size + 2].sum())
        found = np.append(window[:size], window[size : size + 2].sum())
    else:
        reference, found = column.counts[:size], window[:size]
    if not reference.sum() or not found.sum():
        return
    if isinstance(bins, NumberBins):
        distance, p = (chi_square_p if bins.discrete else ks_p)(reference, found)
        effect = psi(coarse(reference, reference), coarse(found, reference))
        moved = wasserstein(np.asarray(bins.centres), reference, found)
    else:  # categories have no order: those of one group could trade places unseen
        distance, p = chi_square_p(reference, found)
        effect, moved = psi(reference, found), None
    rows, known = int(found.sum()), int(reference.sum())
    yield Comparison(kind, name, slice_, rows, known, distance, 0.0, p, effect, moved)


def _of_performance(reference: Measured, window: Measured, accepted: AcceptedLoss) -> Iterator[Comparison]:
    excess, error = accepted.excess(reference, window)
    if not np.isfinite(excess) or error == 0:
        return
    p = float(stats.norm.sf(excess / error))
    yield Comparison("performance", window.metric, ALL, window.rows, reference.rows, window.value, reference.value, p)


def _of_coverage(reference: Coverage | None, window: Coverage | None, plan: MonitoringPlan) -> Iterator[Comparison]:
    if reference is None or window is None or window.rows < plan.min_rows:
        return
    p = float(stats.norm.sf(window.loss_below(reference, plan.max_coverage_drop)))
    yield Comparison("coverage", "bounds", ALL, window.rows, reference.rows, window.value, reference.value, p)


def _of_estimate(expected: Measured, estimate: Measured, accepted: AcceptedLoss) -> Comparison:
    excess, error = accepted.excess(expected, estimate)
    found = bool(np.isfinite(excess) and excess > CERTAIN * error)
    return Comparison(
        "estimated_performance", estimate.metric, ALL, estimate.rows, expected.rows, estimate.value, expected.value,
        None, found=found,
    )  # fmt: skip
