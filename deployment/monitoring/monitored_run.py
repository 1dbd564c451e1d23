"""A run of monitoring: counts on Spark, comparisons of each window, and the decision."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from pyspark.sql import DataFrame

from deployment.monitoring.comparison import compare
from deployment.monitoring.counted import Counted
from deployment.monitoring.counting import PREDICTION, CountPlan, SliceColumn, count
from deployment.monitoring.decision import MonitoringDecision, decide
from deployment.monitoring.findings import ComparedWindow, confirm
from deployment.monitoring.outcomes.forecasts import Coverage
from deployment.monitoring.outcomes.labels import LabelCounts, count_labels
from deployment.monitoring.outcomes.performance import NO_LOSS, AcceptedLoss, Measured, estimate, measured, metric_of
from deployment.monitoring.version import MonitoredVersion, NotMonitored
from deployment.monitoring.windows import Windows, micros_of
from training.population.population import Population
from training.use_case.monitoring import MonitoringPlan
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class MonitoredRun:
    """The result of a run.

    Attributes:
        table: the payload table.
        at: time of the run.
        compared: one for each window.
        labels: counts of labels; None if the use case declares none.
        reference: the watched metric on the holdout; None without predictions.
        accepted: loss of the watched metric that is no finding.
        declared_metric: promotion metric, for which another one may be watched.
    """

    use_case: str
    version: int
    table: str
    at: datetime
    windows: Windows
    counted: Counted
    compared: tuple[ComparedWindow, ...]
    decision: MonitoringDecision
    reference: Measured | None = None
    labels: LabelCounts | None = None
    accepted: AcceptedLoss = NO_LOSS
    declared_metric: str = ""

    def start(self, number: int) -> datetime:
        """Start of a window."""
        return self.windows.start(number)

    def end(self, number: int) -> datetime:
        """End of a window, which is the start of the next."""
        return self.windows.start(number + 1)

    def notes(self) -> list[str]:
        """Rows that no window counts, and labels that do not count, each with its number."""
        counted, labels = self.counted, self.labels or LabelCounts()
        empty = sum(not window.traffic.requests for window in self.compared)
        untested = sum(bool(window.traffic.requests) and not window.tested for window in self.compared)
        left_out: dict[str, int] = {}
        for window in self.compared:
            for reason, rows in window.traffic.left_out.items():
                left_out[reason] = left_out.get(reason, 0) + rows
        facts = [
            (counted.without_time, "rows without a time, which are in no window"),
            (counted.future, "rows later than this run, which are in no window (a clock is ahead)"),
            (counted.other_version, f"rows of other versions than {self.version}"),
            (empty, "empty windows, which are not tested and neither confirm nor end a finding"),
            (untested, "windows with too few rows to be tested"),
            *((rows, f"rows left out because the {reason}") for reason, rows in left_out.items()),
            (
                sum(each.traffic.requests - each.traffic.timed for each in self.compared),
                "requests without a duration",
            ),
            (labels.without_request, "labels without a request in this period"),
            (labels.without_prediction, "labels of requests without a usable prediction of this version"),
            (labels.before_request, "labels known before their request, which do not count (compare the clocks)"),
            (labels.unknown_labels, "labels that are no class of the version, or no number"),
            (labels.incomplete, "rows of the label table without a label, a key or a time"),
            (labels.not_yet_known, "labels known after the end of the run"),
            (labels.replaced, "labels replaced by a later one of the same request"),
        ]
        return [f"{what}: {number:,}" for number, what in facts if number]


@dataclass(frozen=True)
class LiveTraffic:
    """Rows that a run reads.

    Attributes:
        table: name of the payload table.
        exchanges: its rows with the columns of `payload.COLUMNS`.
        served: IDs of the version; empty to count every row.
        labels: rows of the label table, if the use case declares one.
    """

    table: str
    exchanges: DataFrame
    served: frozenset[str] = field(default_factory=frozenset)
    labels: DataFrame | None = None


def monitor(  # noqa: PLR0913, PLR0917  (everything that a run reads)
    use_case: UseCase,
    version: MonitoredVersion,
    traffic: LiveTraffic,
    windows: Windows,
    now: datetime,
    until: datetime | None = None,
) -> MonitoredRun:
    """Count, compare and decide.

    Args:
        until: end of the run's period, by which a label must have arrived; `now` by default.

    Raises:
        NotMonitored: the version has no counts within a declared slice.
        LabelsRefused: the label table lacks a column.
    """
    plan, population = use_case.monitoring, version.population
    if missing := [name for name in plan.slices if name not in population.slices]:
        raise NotMonitored.no_slice(version.number, missing)
    how = count_plan(population, plan, windows, now, traffic.served)
    counted = Counted.of(count(traffic.exchanges, how).collect())
    labels = None
    if plan.labels is not None and traffic.labels is not None and population.prediction is not None:
        as_of = replace(how, now=micros_of(until or now))
        labels = count_labels(traffic.exchanges, traffic.labels, plan.labels, as_of, population)
    reference, expected = reference_performance(use_case, population)
    declared = use_case.promotion.metric
    accepted = NO_LOSS if reference is None else AcceptedLoss.of(plan.max_drop, reference.metric, declared)
    compared, expected_coverage = [], Coverage.of(population.losses)
    for number in range(windows.count):
        performance = coverage = None
        if reference is not None and labels is not None and number in labels.outcomes:
            losses = labels.losses.get(number, {})
            performance = measured(population, reference.metric, labels.outcomes[number], losses)
            coverage = Coverage.of(losses)
        estimated = None
        if reference is not None and population.prediction is not None:
            bins = population.prediction.bins.size
            estimated = estimate(population, reference.metric, counted.column(number, PREDICTION, bins))
        coverages = expected_coverage, coverage
        compared.append(
            compare(
                number, counted, population, plan, reference, performance, estimated, expected, accepted, coverages
            )
        )
    confirmed = confirm(compared)
    decision = decide(confirmed, plan.actions)
    return MonitoredRun(
        use_case.name, version.number, traffic.table, now, windows, counted, tuple(confirmed), decision, reference,
        labels, accepted, declared,
    )  # fmt: skip


def count_plan(
    population: Population, plan: MonitoringPlan, windows: Windows, now: datetime, served: frozenset[str]
) -> CountPlan:
    """Everything that workers need to count."""
    first, length = windows.micros
    return CountPlan(
        first=first,
        length=length,
        windows=windows.count,
        now=micros_of(now),
        inputs={name: column.bins for name, column in population.inputs.items()},
        slices={
            name: SliceColumn(population.slices[name].column, population.slices[name].bins) for name in plan.slices
        },
        response_field=population.response_field,
        prediction=None if population.prediction is None else population.prediction.bins,
        has_bounds=bool(population.losses),
        served=served,
        max_ms=plan.max_p99_ms,
    )


def reference_performance(use_case: UseCase, population: Population) -> tuple[Measured | None, Measured | None]:
    """The watched metric on the holdout, and its estimate from the holdout's predictions alone."""
    if population.prediction is None or not population.outcomes.sum():
        return None, None
    metric = metric_of(population, use_case.promotion.metric)
    bins = population.prediction.bins.size
    return measured(population, metric, population.outcomes, population.losses), estimate(
        population, metric, population.prediction.counts[:bins]
    )
