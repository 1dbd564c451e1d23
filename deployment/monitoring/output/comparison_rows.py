"""Rows of the table `monitoring.findings`: every comparison of every window of a run."""

from typing import Any

import pyarrow as pa

from deployment.monitoring.decision import action_of
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.windows import EPOCH
from lakehouse.tables.warehouse import sql_text
from training.use_case.monitoring import ActionTable

TIME = pa.timestamp("us", "UTC")
FINDINGS = pa.schema(
    [
        ("use_case", pa.string()), ("version", pa.int64()), ("window_start", TIME), ("window_end", TIME),
        ("window_seconds", pa.int64()), ("window_number", pa.int64()), ("kind", pa.string()),
        ("subject", pa.string()), ("slice", pa.string()), ("rows", pa.int64()), ("reference_rows", pa.int64()),
        ("value", pa.float64()), ("expected", pa.float64()), ("p_value", pa.float64()), ("psi", pa.float64()),
        ("wasserstein", pa.float64()), ("found", pa.bool_()), ("confirmed", pa.bool_()), ("action", pa.string()),
        ("sentence", pa.string()), ("computed_at", TIME),
    ]
)  # fmt: skip


def comparison_rows(run: MonitoredRun, table: ActionTable) -> list[dict[str, Any]]:
    """A row for each comparison, with the columns of `FINDINGS`."""
    rows = []
    for window in run.compared:
        for each in window.comparisons:
            rows.append(
                {
                    "use_case": run.use_case,
                    "version": run.version,
                    "window_start": run.start(window.number),
                    "window_end": run.end(window.number),
                    "window_seconds": int(run.windows.length.total_seconds()),
                    "window_number": _number(run, window.number),
                    "kind": each.kind,
                    "subject": each.subject,
                    "slice": each.slice,
                    "rows": each.rows,
                    "reference_rows": each.reference_rows,
                    "value": each.value,
                    "expected": each.expected,
                    "p_value": each.p_value,
                    "psi": each.psi,
                    "wasserstein": each.wasserstein,
                    "found": each.found,
                    "confirmed": each.confirmed,
                    "action": action_of(each, table) if each.confirmed else "nothing",
                    "sentence": each.sentence(),
                    "computed_at": run.at,
                }
            )
    return rows


def rows_of_windows(run: MonitoredRun) -> str:
    """The rows of a run's windows, as SQL."""
    # Whole numbers: engines differ in how they compare a column with the text of a time.
    start = _number(run, 0)
    return (
        f"use_case = {sql_text(run.use_case)} AND version = {run.version}"
        f" AND window_seconds = {int(run.windows.length.total_seconds())}"
        f" AND window_number >= {start} AND window_number < {start + run.windows.count}"
    )


def _number(run: MonitoredRun, window: int) -> int:
    """The number of a window since 1970."""
    return (run.start(window) - EPOCH) // run.windows.length
