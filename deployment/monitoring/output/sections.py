"""Sections of the report: inputs, performance and traffic, each over the windows of a run."""

from collections.abc import Mapping, Sequence
from math import isfinite

from markupsafe import Markup

from deployment.monitoring.findings import ComparedWindow, Comparison
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.trends import STYLES, Trend, chart_of, spark
from training.report.page import (
    Block,
    Cell,
    Column,
    Figure,
    Figures,
    Paragraph,
    Table,
    drawing_cell,
    number_cell,
    text_cell,
)
from training.report.wording import format_number, metric_name

Series = Sequence[Comparison | None]  # of one kind and subject, by window; None where it was not compared


def inputs(run: MonitoredRun) -> Sequence[Block]:
    """Table of the inputs and trends of those that moved most."""
    series = _by_kind_and_subject(run)
    effects = {subject: _effects(each) for (kind, subject), each in series.items() if kind == "drift"}
    if not effects:
        return [Paragraph("No window has enough rows.")]
    worst = {name: max(filter(isfinite, psi), default=0.0) for name, psi in effects.items()}
    ordered = sorted(effects, key=lambda name: -worst[name])
    rows = []
    for name in ordered:
        drift, missing, unknown, outside = (
            series.get((kind, name), ()) for kind in ("drift", "missing", "unknown", "out_of_range")
        )
        psi = effects[name]
        last = next((each for each in reversed(drift) if each is not None), None)
        count = sum(each.found for each in drift if each is not None)
        rows.append(
            (
                text_cell(name),
                drawing_cell(spark(psi, f"stability index of {name}"), worst[name]),
                number_cell(_last(psi), ".3f"),
                number_cell(number_of_effect(last.wasserstein if last else None), ".2f"),
                *(number_cell(_share(each), ".2%") for each in (missing, unknown, outside)),
                number_cell(float(count), ".0f"),
            )
        )
    columns = (
        Column("Input", "text"), Column("Stability index by window", "drawn"), Column("Last"),
        Column("Moved by, sd"), Column("Missing"), Column("Unknown"), Column("Outside"), Column("Windows with drift"),
    )  # fmt: skip
    trends = [Trend(name, effects[name]) for name in ordered[: len(STYLES)]]
    return [
        Figures([chart_of(run, "Stability index of the inputs that moved most", "stability index", trends)]),
        Table("Inputs, those that moved most first", columns, rows),
    ]


def performance(run: MonitoredRun) -> Sequence[Block]:
    """Drift of the predictions, and the watched metric, measured and estimated."""
    figures = [
        chart_of(run, f"Drift of the response field {field}", "stability index", [Trend(field, _effects(each))])
        for (kind, field), each in _by_kind_and_subject(run).items()
        if kind == "prediction_drift"
    ]
    blocks: list[Block] = []
    if run.reference is not None:
        name = metric_name(run.reference.metric)
        lines = [Trend("on the holdout", [run.reference.value] * run.windows.count)]
        estimated = [w.estimate.value if w.estimate else float("nan") for w in run.compared]
        known = [w.performance.value if w.performance else float("nan") for w in run.compared]
        if any(map(isfinite, known)):
            lines.append(Trend("on labelled rows", known))
        if any(map(isfinite, estimated)):
            lines.append(Trend("estimated without labels", estimated))
        figures.append(chart_of(run, name[0].upper() + name[1:], name, lines, from_zero=False))
        blocks.append(_measures(run, name))
        blocks.append(
            Paragraph(
                "The estimate assumes that labels follow the predictions as on the holdout. It sees a shift of the "
                "inputs, and is blind to a change of what they mean. No action follows from it."
                if any(map(isfinite, estimated))
                else f"{name} is not estimated without labels."
            )
        )
    if any(window.coverage for window in run.compared):
        figures.append(_coverage(run))
        blocks.append(_coverages(run))
    return [Figures(figures), *blocks] if figures else [Paragraph("The version has no prediction that is monitored.")]


def _measures(run: MonitoredRun, name: str) -> Table:
    rows = []
    for window in run.compared:
        for measure in (window.performance, window.estimate):
            if measure is not None:
                low, high = measure.interval
                interval = f"{format_number(low)} to {format_number(high)}" if isfinite(low + high) else "-"
                rows.append(
                    (
                        window_cell(run, window),
                        text_cell("estimated" if measure.estimated else "measured on labels"),
                        number_cell(measure.rows, ",d"),
                        number_cell(measure.value),
                        Cell(interval, low, "number"),
                    )
                )
    columns = (
        Column("Window (UTC)", "text"),
        Column("How", "text"),
        Column("Rows"),
        Column(name),
        Column("95 % interval"),
    )
    return Table(f"{name[0].upper()}{name[1:]} by window", columns, rows)


def _coverage(run: MonitoredRun) -> Figure:
    shares = [window.coverage.value if window.coverage else float("nan") for window in run.compared]
    tested = [each for window in run.compared for each in window.comparisons if each.kind == "coverage"]
    lines = [Trend("on labelled rows", shares)]
    if tested:
        lines.insert(0, Trend("on the holdout", [tested[-1].expected] * run.windows.count))
    return chart_of(run, "Labels within the bounds", "share", lines, from_zero=False)


def _coverages(run: MonitoredRun) -> Table:
    rows = [
        (
            window_cell(run, window),
            number_cell(window.coverage.rows, ",d"),
            number_cell(window.coverage.value, ".1%"),
        )
        for window in run.compared
        if window.coverage is not None
    ]
    columns = (Column("Window (UTC)", "text"), Column("Rows"), Column("Within the bounds"))
    return Table("Labels within the bounds by window", columns, rows)


def traffic(run: MonitoredRun) -> Sequence[Block]:
    """Volume, failures and latency of each window."""

    def share(part: int, whole: int) -> float:
        return part / whole if whole else float("nan")

    windows = [window.traffic for window in run.compared]
    figures = [
        chart_of(run, "Records", "records", [Trend("records", [float(each.records) for each in windows])]),
        chart_of(
            run,
            "Failed and refused requests",
            "share",
            [
                Trend("failed (5xx)", [share(each.failed, each.requests) for each in windows]),
                Trend("refused (4xx)", [share(each.refused, each.requests) for each in windows]),
            ],
        ),
        chart_of(
            run,
            "Latency, milliseconds",
            "ms",
            [Trend("median", [e.quantile(0.5) for e in windows]), Trend("p99", [e.quantile(0.99) for e in windows])],
        ),
    ]
    rows = [
        (
            window_cell(run, window),
            number_cell(window.traffic.requests, ",d"),
            number_cell(window.traffic.volume, ",.0f"),
            number_cell(window.traffic.records, ",d"),
            number_cell(window.traffic.failed, ",d"),
            number_cell(window.traffic.refused, ",d"),
            number_cell(window.traffic.quantile(0.5), ".1f"),
            number_cell(window.traffic.quantile(0.99), ".1f"),
            number_cell(sum(window.traffic.left_out.values()), ",d"),
            text_cell("yes" if window.tested else "no"),
        )
        for window in run.compared
    ]
    columns = (
        Column("Window (UTC)", "text"), Column("Requests logged"), Column("Requests in all"), Column("Records"),
        Column("Failed"), Column("Refused"), Column("Median, ms"), Column("p99, ms"), Column("Left out"),
        Column("Tested", "text"),
    )  # fmt: skip
    return [Figures(figures), Table("Windows", columns, rows)]


def _by_kind_and_subject(run: MonitoredRun) -> Mapping[tuple[str, str], Series]:
    """The comparisons of whole windows, without slices."""
    series: dict[tuple[str, str], list[Comparison | None]] = {}
    for at, window in enumerate(run.compared):
        for each in window.comparisons:
            if not each.slice:
                series.setdefault((each.kind, each.subject), [None] * len(run.compared))[at] = each
    return series


def _effects(series: Series) -> list[float]:
    return [number_of_effect(each.psi if each else None) for each in series]


def _share(series: Series) -> float:
    return next((each.value for each in reversed(series) if each is not None), float("nan"))


def _last(values: Sequence[float]) -> float:
    return next((value for value in reversed(values) if isfinite(value)), float("nan"))


def number_of_effect(value: float | None) -> float:
    """NaN for an effect without meaning."""
    return float("nan") if value is None else value


def window_cell(run: MonitoredRun, window: ComparedWindow) -> Cell:
    """The start of a window."""
    start = run.start(window.number)
    whole_days = run.windows.length.total_seconds() % 86_400 == 0
    return Cell(Markup("{}").format(f"{start:%Y-%m-%d}" if whole_days else f"{start:%m-%d %H:%M:%S}"), window.number)
