"""Metrics of a run: in MLflow with a step for each window, and as a text file for Prometheus."""

import re
from math import isfinite
from pathlib import Path

from mlflow.entities import Metric as LoggedMetric
from mlflow.tracking import MlflowClient
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from deployment.monitoring.decision import EXIT_CODES, current_findings
from deployment.monitoring.findings import ComparedWindow
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.windows import format_length
from lakehouse.settings import Settings
from training.tracking import experiment_id

EXPERIMENT_SUFFIX = "_monitoring"
MOST_METRICS = 1000  # of one request to MLflow


def window_metrics(window: ComparedWindow) -> dict[str, float]:
    """Numbers of one window by name."""
    traffic = window.traffic
    numbers = {
        "requests": float(traffic.requests),
        "records": float(traffic.records),
        "volume": traffic.volume,
        "findings": float(len(window.findings)),
        "confirmed_findings": float(sum(each.confirmed for each in window.findings)),
    }
    if traffic.requests:
        numbers |= {
            "error_share": traffic.failed / traffic.requests,
            "refused_share": traffic.refused / traffic.requests,
            "latency_p50_ms": traffic.quantile(0.5),
            "latency_p99_ms": traffic.quantile(0.99),
        }
    for each in window.comparisons:
        if each.psi is not None and not each.slice:
            numbers[f"psi.{each.subject}"] = each.psi
    if window.coverage is not None:
        numbers["coverage"] = window.coverage.value
    for measure in (window.performance, window.estimate):
        if measure is not None and isfinite(measure.value):
            numbers[f"{'estimated_' if measure.estimated else ''}{measure.metric}"] = measure.value
    return numbers


def log_run(run: MonitoredRun, page: Path, client: MlflowClient, settings: Settings) -> str:
    """Log the metrics and the page as a run of the experiment `USE_CASE_monitoring`; return its ID."""
    experiment = experiment_id(client, settings, run.use_case + EXPERIMENT_SUFFIX)
    tags = {
        "use_case": run.use_case,
        "model_version": str(run.version),
        "action": run.decision.action,
        "payload_table": run.table,
        "window": format_length(run.windows.length),
    }
    run_id: str = client.create_run(experiment, tags=tags, run_name=f"version-{run.version}").info.run_id
    metrics = [
        LoggedMetric(re.sub(r"[^\w./ -]", "_", name), value, _millis(run, window), window.number)
        for window in run.compared
        for name, value in window_metrics(window).items()
        if isfinite(value)
    ]
    for first in range(0, len(metrics), MOST_METRICS):
        client.log_batch(run_id, metrics=metrics[first : first + MOST_METRICS])
    client.log_artifact(run_id, str(page), "monitoring")
    client.set_terminated(run_id)
    return run_id


def _millis(run: MonitoredRun, window: ComparedWindow) -> int:
    return round(run.end(window.number).timestamp() * 1000)


def write_prometheus(run: MonitoredRun, path: Path) -> None:
    """Write the last tested window in the text format of Prometheus, for node_exporter's textfile collector."""
    registry = CollectorRegistry()
    labels = {"use_case": run.use_case, "version": str(run.version)}
    names = list(labels)

    def gauge(name: str, text: str, more: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"monitoring_{name}", text, [*names, *more], registry=registry)

    gauge("run_timestamp_seconds", "Time of the run.").labels(**labels).set(run.at.timestamp())
    action = gauge("action", "Recommended action, by its exit code (0: nothing).")
    action.labels(**labels).set(EXIT_CODES[run.decision.action])
    if run.decision.window is not None:
        window = run.compared[run.decision.window]
        end = run.end(window.number)
        gauge("window_end_seconds", "End of the last tested window.").labels(**labels).set(end.timestamp())
        index = gauge("stability_index", "Calibrated population stability index.", ("subject",))
        for name, value in window_metrics(window).items():
            if name.startswith("psi."):
                index.labels(**labels, subject=name.removeprefix("psi.")).set(value)
            else:
                gauge(name, f"{name.replace('_', ' ')} of the last tested window.").labels(**labels).set(value)
        confirmed = gauge("finding", "1: found; 2: confirmed by two windows in a row.", ("kind", "subject", "slice"))
        for _, each in current_findings(run.compared):
            place = {"kind": each.kind, "subject": each.subject, "slice": each.slice}
            confirmed.labels(**labels, **place).set(1 + each.confirmed)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
