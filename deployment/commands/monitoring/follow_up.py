"""After a decision of `monitor`: alerts, and with `--act` the action, each once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployment.monitoring.decision import ACTIONS, EXIT_CODES
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.alerts import Alert, deliver
from deployment.monitoring.output.findings_table import FindingsTable
from lakehouse import console
from lakehouse.settings import Settings
from training.use_case.monitoring import MonitoringPlan, parse_length

FAILED = 1


def follow_up(  # noqa: PLR0913  (a decision, and where it is recorded)
    run: MonitoredRun,
    plan: MonitoringPlan,
    findings: FindingsTable,
    page: Path,
    settings: Settings,
    *,
    act: bool,
) -> int:
    """Alert and act, each once for a window and not again within the cooldown; return the exit code."""
    action, code = run.decision.action, EXIT_CODES[run.decision.action]
    if action == ACTIONS[0]:
        return code
    assert run.decision.window is not None  # noqa: S101  (findings come from a window)
    start = run.start(run.decision.window)
    taken = findings.actions(run.use_case, run.version)
    if not any(row["action"] == "alert" and row["window_start"] == start for row in taken):
        file = None if plan.alerts is None else settings.project / plan.alerts
        failures = deliver(Alert.of(run, page), file, settings.monitoring_webhook)
        for failure in failures:
            console.ERR.print(f"  {failure}", soft_wrap=True, markup=False)
        findings.record(_action_row(run, "alert", start, "; ".join(failures) or "delivered"))
        if failures and act:
            code = FAILED
    if not act:
        return code
    if action != "alert" and not _took(taken, action, run.at - parse_length(plan.cooldown)):
        # Recorded first: a training that is killed must not start again with every run.
        findings.record(_action_row(run, action, start, "started"))
        _take(run, settings)
        findings.record(_action_row(run, action, start, "done"))
    return FAILED if code == FAILED else 0


def _took(taken: list[Any], action: str, since: datetime) -> bool:
    last = max((row["at"] for row in taken if row["action"] == action), default=None)
    if last is None or last < since:
        return False
    console.detail(f"{action.replace('_', ' ')} was started at {last:%Y-%m-%d %H:%M} UTC: not again in the cooldown")
    return True


def _take(run: MonitoredRun, settings: Settings) -> None:
    reason = f"monitoring: {run.decision.reason()}"
    if run.decision.action == "retrain":
        from training.run import train
        from training.use_case.use_case import load

        console.stage(f"Retraining {run.use_case}: {run.decision.reason()}")
        train(load(run.use_case), settings)
    else:
        from deployment.commands import manual_actions

        console.stage(f"Rolling {run.use_case} back: {run.decision.reason()}")
        manual_actions.rollback(run.use_case, settings, None, reason[:500])


def _action_row(run: MonitoredRun, action: str, start: datetime, outcome: str) -> dict[str, Any]:
    return {
        "use_case": run.use_case,
        "version": run.version,
        "action": action,
        "window_start": start,
        "at": datetime.now(UTC),
        "reason": run.decision.reason(),
        "outcome": outcome,
    }
