"""The HTML report of a run, in the style of the training report: findings, trends, inputs, traffic."""

from collections.abc import Sequence
from dataclasses import replace

from deployment.monitoring.decision import action_of, current_findings
from deployment.monitoring.findings import SHARES, Comparison
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.sections import inputs, number_of_effect, performance, traffic, window_cell
from deployment.monitoring.windows import Windows, format_length
from training.report.page import (
    Block,
    Cell,
    Column,
    Facts,
    Headline,
    Paragraph,
    Section,
    Table,
    Tile,
    Tiles,
    WarningNote,
    number_cell,
    render,
    text_cell,
)
from training.report.wording import format_number, metric_name
from training.use_case.monitoring import MonitoringPlan

WORDS = {"nothing": "Nothing to do", "alert": "Alert", "retrain": "Retrain", "roll_back": "Roll back"}
MOST_IN_HEADLINE = 3  # findings


def render_page(run: MonitoredRun, plan: MonitoringPlan) -> str:
    """The page as one self-contained HTML file."""
    top: list[Block] = [Headline(_headline(run)), _facts(run, plan), _tiles(run)]
    top += [WarningNote(note[0].upper() + note[1:] + ".") for note in run.notes()]
    run = _with_traffic(run)
    sections = [
        Section("findings", "Findings", _findings(run, plan)),
        Section("inputs", "Inputs", inputs(run)),
        Section("predictions", "Predictions and performance", performance(run)),
        Section("traffic", "Traffic", traffic(run)),
        Section("method", "Method", _method(run, plan)),
    ]
    return render(f"{run.use_case}, version {run.version}: monitoring", top, sections)


def _with_traffic(run: MonitoredRun) -> MonitoredRun:
    """The run without the empty windows before the first and after the last request."""
    used = [window.number for window in run.compared if window.traffic.requests]
    if not used:
        return run
    first, count = used[0], used[-1] - used[0] + 1
    window = run.decision.window
    return replace(
        run,
        windows=Windows(run.start(first), run.windows.length, count),
        compared=tuple(replace(each, number=each.number - first) for each in run.compared[first : first + count]),
        decision=replace(run.decision, window=None if window is None else window - first),
    )


def _headline(run: MonitoredRun) -> str:
    decision = run.decision
    if decision.window is None:
        return "No window could be tested."
    if decision.action == "nothing":
        return "Nothing to do: no confirmed finding in the last tested window calls for an action."
    reasons = decision.reasons()
    more = f"; and {len(reasons) - MOST_IN_HEADLINE} more" if len(reasons) > MOST_IN_HEADLINE else ""
    return f"{WORDS[decision.action]}: {'; '.join(reasons[:MOST_IN_HEADLINE])}{more}."


def _facts(run: MonitoredRun, plan: MonitoringPlan) -> Facts:
    reference = "the holdout" if plan.reference == "holdout" else "the training rows"
    return Facts(
        [
            ("Period", f"{run.windows.first:%Y-%m-%d %H:%M:%S} to {run.windows.end:%Y-%m-%d %H:%M:%S} UTC"),
            ("Windows", f"{run.windows.count} of {format_length(run.windows.length)}"),
            ("Payload table", run.table),
            ("Compared with", f"{reference} of version {run.version}"),
            ("Made", f"{run.at:%Y-%m-%d %H:%M:%S} UTC"),
        ]
    )


def _tiles(run: MonitoredRun) -> Tiles:
    last = run.compared[run.decision.window if run.decision.window is not None else -1]
    current = [finding for _, finding in current_findings(run.compared)]
    confirmed = sum(each.confirmed for each in current)
    when = f"{run.start(last.number):%Y-%m-%d %H:%M:%S}"
    tiles = [
        Tile("Recommended action", WORDS[run.decision.action], f"after the window of {when} UTC"),
        Tile("Findings", f"{len(current)}", f"{confirmed} confirmed by two windows in a row"),
        Tile("Requests", f"{last.traffic.requests:,}", f"{last.traffic.records:,} records in the last tested window"),
    ]
    if run.reference is not None:
        known = next((each.performance for each in reversed(run.compared) if each.performance is not None), None)
        value = "no labels yet" if known is None else format_number(known.value)
        detail = f"{metric_name(run.reference.metric)}; {format_number(run.reference.value)} on the holdout"
        tiles.append(Tile("Performance", value, detail))
    return Tiles(tiles)


def _findings(run: MonitoredRun, plan: MonitoringPlan) -> Sequence[Block]:
    rows: list[Sequence[Cell]] = []
    marked = set[int]()
    behind = {
        (window.number, each.key)
        for window, each in current_findings(run.compared)
        if each.confirmed and action_of(each, plan.actions) == run.decision.action != "nothing"
    }
    found = [
        ((window.number, each.key) not in behind, -window.number, not each.confirmed, each.p_or_one, window, each)
        for window in run.compared
        for each in window.findings
    ]
    for is_other, _, _, _, window, each in sorted(found, key=lambda row: row[:4]):
        if not is_other:
            marked.add(len(rows))
        action = action_of(each, plan.actions) if each.confirmed else "wait"
        rows.append(
            (
                window_cell(run, window),
                text_cell(each.kind.replace("_", " ")),
                text_cell(f"{each.subject} within {each.slice}" if each.slice else each.subject),
                text_cell("confirmed" if each.confirmed else "once"),
                text_cell(action.replace("_", " ")),
                number_cell(each.rows, ",d"),
                *_compared(each),
                number_cell(number_of_effect(each.psi), ".3f"),
                number_cell(number_of_effect(each.wasserstein), ".2f"),
                number_cell(number_of_effect(each.p_value), ".2g"),
            )
        )
    if not rows:
        return [Paragraph("No window has a finding.")]
    columns = (
        Column("Window (UTC)", "text"), Column("Kind", "text"), Column("Subject", "text"), Column("Seen", "text"),
        Column("Action", "text"), Column("Rows"),
        Column("Value"), Column("Reference", tooltip="In the reference, or the limit."),
        Column("Stability index", tooltip="Population stability index less its mean without drift."),
        Column("Moved by, sd", tooltip="Wasserstein distance in standard deviations of the reference."),
        Column("p-value"),
    )  # fmt: skip
    caption = "First and marked: the findings behind the recommended action. Then the newest window first."
    return [Table(caption, columns, rows, frozenset(marked))]


def _compared(each: Comparison) -> tuple[Cell, Cell]:
    """Shares and metrics; a drift has its effect sizes instead."""
    if each.kind in SHARES or each.kind == "coverage":
        return number_cell(each.value, ".2%"), number_cell(each.expected, ".2%")
    if each.psi is None:
        return number_cell(each.value), number_cell(each.expected)
    return number_cell(float("nan")), number_cell(float("nan"))


def _method(run: MonitoredRun, plan: MonitoringPlan) -> Sequence[Block]:
    return [
        *_watched_metric(run),
        Paragraph(
            "All tests of a window share one rate of false alarms: without drift, at most "
            f"{plan.false_alarms:.0%} of windows have a finding (Benjamini-Hochberg). An action needs the same "
            "finding in two tested windows in a row. Numbers are compared by Kolmogorov-Smirnov, categories by "
            f"chi-square, shares exactly. A drift also needs a stability index of {plan.min_effect:g}: in a large "
            "window any shift is certain."
        ),
        Paragraph(
            f"Windows with fewer than {plan.min_rows} rows are shown and not tested. Missing and unknown categories "
            "are one in the feature table, so each is compared with both together."
        ),
    ]


def _watched_metric(run: MonitoredRun) -> Sequence[Block]:
    """The accepted loss of the performance, and why another metric than the declared one is watched."""
    if run.reference is None:
        return []
    watched = metric_name(run.reference.metric)
    text = f"A loss of {watched} of up to {run.accepted} is accepted."
    if run.reference.metric != run.declared_metric:
        text = f"{metric_name(run.declared_metric)} cannot be computed from counts, so {watched} is watched. {text}"
    return [Paragraph(text)]
