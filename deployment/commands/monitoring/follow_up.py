"""After a decision of `monitor`: alerts, and with `--act` the action, each once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployment.commands.monitoring.due_action import DONE, due_action
from deployment.commands.open_registry import registry
from deployment.ledger.entries import MAX_REASON_LENGTH
from deployment.monitoring.decision import ACTIONS, EXIT_CODES
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.alerts import Alert, deliver
from deployment.monitoring.output.findings_table import FindingsTable, FollowUpBusy
from lakehouse import console
from lakehouse.errors import LakehouseError, first_line
from lakehouse.settings import Settings
from training.registry.versions import CHAMPION, version_of
from training.use_case.monitoring import MonitoringPlan, parse_length

FAILED = 1
DELIVERED = "delivered"  # outcome of an alert


class ActionRefused(LakehouseError):
    """The action would meet another version than the monitored one."""

    @classmethod
    def not_champion(cls, name: str, version: int, champion: int | None) -> "ActionRefused":
        return cls(
            f"version {version} of {name} is not rolled back: the champion is {champion or 'no version'}",
            hint=f"Monitor the champion: python -m deployment.run monitor --use-case {name}",
        )


def follow_up(  # noqa: PLR0913  (a decision, and where it is recorded)
    run: MonitoredRun,
    plan: MonitoringPlan,
    findings: FindingsTable,
    page: Path,
    settings: Settings,
    *,
    act: bool,
) -> int:
    """Alert and act, each once for a window and not again within the cooldown; return the exit code.

    One run at a time follows up a use case. Another one at the same time does nothing, and its exit code is that of
    the recommendation.
    """
    action, code = run.decision.action, EXIT_CODES[run.decision.action]
    if action == ACTIONS[0]:
        return code
    assert run.decision.window is not None  # noqa: S101  (findings come from a window)
    start = run.start(run.decision.window)
    try:
        with findings.lock(run.use_case) as is_alone:
            failures = _alert(run, plan, start, findings, page, settings)
            if not act:
                return code
            is_open = action != "alert" and not _act(run, plan, start, findings, settings, is_alone=is_alone)
    except FollowUpBusy as busy:
        _tell(f"{busy.failed}. {busy.hint}")
        return code
    return FAILED if failures else code if is_open else 0


def _alert(  # noqa: PLR0913, PLR0917
    run: MonitoredRun, plan: MonitoringPlan, start: datetime, findings: FindingsTable, page: Path, settings: Settings
) -> list[str]:
    """Send the alert of a window if no run has; return why a place did not get it."""
    sent = [row for row in findings.actions(run.use_case, run.version) if row["action"] == "alert"]
    if any(row["window_start"] == start and row["outcome"] == DELIVERED for row in sent):
        return []
    file = None if plan.alerts is None else settings.project / plan.alerts
    failures = deliver(Alert.of(run, page), file, settings.monitoring_webhook)
    for failure in failures:
        _tell(failure)
    findings.record(_action_row(run, "alert", start, "; ".join(failures) or DELIVERED))
    return failures


def _act(  # noqa: PLR0913
    run: MonitoredRun,
    plan: MonitoringPlan,
    start: datetime,
    findings: FindingsTable,
    settings: Settings,
    *,
    is_alone: bool,
) -> bool:
    """Take the action if it is due; return True if it is done."""
    action = run.decision.action
    taken = [row for row in findings.actions(run.use_case, run.version) if row["action"] == action]
    now = datetime.now(UTC)
    due = due_action(taken, start, now - parse_length(plan.cooldown), is_alone=is_alone)
    if due.told:
        _tell(f"{action.replace('_', ' ')} {due.told}")
    if due.outcome is None:
        return due.is_done
    if action == "roll_back":
        _require_champion(run, settings)
    # Recorded first: a training that is killed must not start again with every run.
    if not findings.claim(_action_row(run, action, start, due.outcome)):
        _tell(f"{action.replace('_', ' ')} was started by another run at the same time")
        return False
    try:
        _do(run, settings)
    except Exception as err:
        failed = err.failed if isinstance(err, LakehouseError) else first_line(err)
        findings.record(_action_row(run, action, start, f"failed: {failed}"))
        raise
    findings.record(_action_row(run, action, start, DONE))
    return True


def _require_champion(run: MonitoredRun, settings: Settings) -> None:
    """Check that a rollback takes the monitored version back, and no other.

    Raises:
        ActionRefused: another version was monitored, or a new champion came meanwhile.
    """
    with registry(settings) as client:
        version = version_of(client, run.use_case, CHAMPION)
    champion = None if version is None else int(version.version)
    if champion != run.version:
        raise ActionRefused.not_champion(run.use_case, run.version, champion)


def _do(run: MonitoredRun, settings: Settings) -> None:
    reason = f"monitoring: {run.decision.reason()}"
    if run.decision.action == "retrain":
        from training.run import train
        from training.use_case.use_case import load

        console.stage(f"Retraining {run.use_case}: {run.decision.reason()}")
        train(load(run.use_case), settings)
    else:
        from deployment.commands import manual_actions

        console.stage(f"Rolling {run.use_case} back: {run.decision.reason()}")
        reason = reason[:MAX_REASON_LENGTH]
        manual_actions.rollback(run.use_case, settings, None, reason, instead_of=run.version)


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


def _tell(text: str) -> None:
    console.ERR.print(f"  {text}", soft_wrap=True, markup=False)
