"""Console output and JSON of `monitor`."""

import json
from pathlib import Path
from typing import Any

from deployment.monitoring.decision import EXIT_CODES, current_findings
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.outcomes.labels import LabelCounts
from lakehouse import console
from lakehouse.settings import Settings

MOST_PRINTED, MOST_WINDOWS = 12, 14  # findings and windows in the console


def to_json(run: MonitoredRun, page: Path) -> str:
    """The result for scripts."""
    decision = run.decision
    content: dict[str, Any] = {
        "use_case": run.use_case,
        "version": run.version,
        "payload_table": run.table,
        "period": [run.windows.first.isoformat(), run.windows.end.isoformat()],
        "window_seconds": int(run.windows.length.total_seconds()),
        "windows": run.windows.count,
        "tested": sum(window.tested for window in run.compared),
        "rows": run.counted.rows(run.windows.count),
        "labels": None if run.labels is None else _label_counts(run.labels),
        "action": decision.action,
        "exit_code": EXIT_CODES[decision.action],
        "last_tested_window": None if decision.window is None else run.start(decision.window).isoformat(),
        "findings": [
            {
                "window_start": run.start(window.number).isoformat(),
                "kind": each.kind,
                "subject": each.subject,
                "slice": each.slice,
                "rows": each.rows,
                "value": each.value,
                "expected": each.expected,
                "p_value": each.p_value,
                "psi": each.psi,
                "wasserstein": each.wasserstein,
                "confirmed": each.confirmed,
                "sentence": each.sentence(),
            }
            for window, each in current_findings(run.compared)
        ],
        "notes": run.notes(),
        "report": str(page),
    }
    return json.dumps(content, indent=2)


def _label_counts(labels: LabelCounts) -> dict[str, int]:
    """Every row of the label table in the period, by the one place in which it counts."""
    return {
        "counted": labels.counted(),
        "without_a_request": labels.without_request,
        "without_a_prediction": labels.without_prediction,
        "before_the_request": labels.before_request,
        "no_class_or_number": labels.unknown_labels,
        "incomplete": labels.incomplete,
        "not_yet_known": labels.not_yet_known,
        "replaced": labels.replaced,
    }


def show(run: MonitoredRun, page: Path, settings: Settings) -> None:
    """Print the last windows and the decision."""
    for note in run.notes():
        console.detail(note)
    rows = []
    for window in [each for each in run.compared if each.traffic.requests][-MOST_WINDOWS:]:
        traffic = window.traffic
        drifted = [each for each in window.findings if each.psi is not None]
        worst = max(drifted, key=lambda each: each.psi or 0.0, default=None)
        rows.append(
            [
                f"{run.start(window.number):%Y-%m-%d %H:%M:%S}",
                f"{traffic.requests:,}",
                f"{traffic.records:,}",
                f"{traffic.failed:,}",
                "-" if not traffic.requests else f"{traffic.quantile(0.99):.1f}",
                f"{len(window.findings)}" if window.tested else "not tested",
                f"{sum(each.confirmed for each in window.findings)}",
                "" if worst is None else f"{worst.subject} {worst.psi or 0:.3f}",
            ]
        )
    header = ["window (UTC)", "requests", "records", "failed", "p99, ms", "findings", "confirmed", "worst drift"]
    console.table(header, rows)
    for finding, action in run.decision.findings[:MOST_PRINTED]:
        console.detail(f"{action.replace('_', ' ')}: {finding.sentence()}")
    if (more := len(run.decision.findings) - MOST_PRINTED) > 0:
        console.detail(f"and {more} more findings, see the report")
    shown = page.relative_to(settings.project) if page.is_relative_to(settings.project) else page
    console.detail(f"Recommended action: {run.decision.action.replace('_', ' ')}")
    console.detail(str(shown))
