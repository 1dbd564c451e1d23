"""After a decision of `monitor`: alerts, and with `--act` the action, each once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployment.commands.open_registry import registry
from deployment.ledger.entries import MAX_REASON_LENGTH
from deployment.monitoring.decision import ACTIONS, EXIT_CODES
from deployment.monitoring.monitored_run import MonitoredRun
from deployment.monitoring.output.alerts import Alert, deliver
from deployment.monitoring.output.findings_table import ActionRow, FindingsTable
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.registry.versions import CHAMPION, version_of
from training.use_case.monitoring import MonitoringPlan, parse_length

FAILED = 1
DELIVERED, STARTED, DONE = "delivered", "started", "done"  # outcomes of alerts and actions


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
    """Alert and act, each once for a window and not again within the cooldown; return the exit code."""
    action, code = run.decision.action, EXIT_CODES[run.decision.action]
    if action == ACTIONS[0]:
        return code
    assert run.decision.window is not None  # noqa: S101  (findings come from a window)
    start = run.start(run.decision.window)
    taken = findings.actions(run.use_case, run.version)
    alerts = [row for row in taken if row["action"] == "alert" and row["window_start"] == start]
    if not any(row["outcome"] == DELIVERED for row in alerts):
        file = None if plan.alerts is None else settings.project / plan.alerts
        failures = deliver(Alert.of(run, page), file, settings.monitoring_webhook)
        for failure in failures:
            console.ERR.print(f"  {failure}", soft_wrap=True, markup=False)
        findings.record(_action_row(run, "alert", start, "; ".join(failures) or DELIVERED))
        if failures and act:
            code = FAILED
    if not act:
        return code
    if action != "alert":
        last = _last(taken, action, run.at - parse_length(plan.cooldown))
        if last is None:
            _take(run, start, findings, settings)
        elif last["outcome"] != DONE:
            return code  # of the recommendation, which is still open
    return FAILED if code == FAILED else 0


def _last(taken: list[ActionRow], action: str, since: datetime) -> ActionRow | None:
    """The latest record of an action within the cooldown."""
    rows = [row for row in taken if row["action"] == action and row["at"] >= since]
    last = max(rows, key=lambda row: row["at"], default=None)
    if last is not None:
        console.ERR.print(
            f"  {action.replace('_', ' ')} at {last['at']:%Y-%m-%d %H:%M} UTC: {last['outcome']}. "
            "Not again within the cooldown.",
            soft_wrap=True, markup=False,
        )  # fmt: skip
    return last


def _take(run: MonitoredRun, start: datetime, findings: FindingsTable, settings: Settings) -> None:
    action = run.decision.action
    if action == "roll_back":
        _require_champion(run, settings)
    # Recorded first: a training that is killed must not start again with every run.
    findings.record(_action_row(run, action, start, STARTED))
    try:
        _do(run, settings)
    except LakehouseError as err:
        findings.record(_action_row(run, action, start, f"failed: {err.failed}"))
        raise
    findings.record(_action_row(run, action, start, DONE))


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
        manual_actions.rollback(run.use_case, settings, None, reason[:MAX_REASON_LENGTH])


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
