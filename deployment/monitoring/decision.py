"""The decision of a run: the strongest action that the confirmed findings of its last tested window call for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from deployment.monitoring.findings import ComparedWindow, Comparison
from training.use_case.monitoring import ActionTable, MonitoringAction

ACTIONS: tuple[MonitoringAction, ...] = get_args(MonitoringAction)  # from the weakest to the strongest
EXIT_CODES = {"nothing": 0, "alert": 4, "retrain": 5, "roll_back": 6}


@dataclass(frozen=True)
class MonitoringDecision:
    """An action with its reasons.

    Attributes:
        window: number of the last tested window; None if no window was tested.
        findings: the confirmed findings of that window that call for something, with their actions.
    """

    action: MonitoringAction
    window: int | None
    findings: tuple[tuple[Comparison, MonitoringAction], ...] = ()

    def reasons(self) -> list[str]:
        """The findings behind the action, the most certain first."""
        return [finding.sentence() for finding, action in self.findings if action == self.action]

    def reason(self) -> str:
        """The same in one sentence."""
        return "; ".join(self.reasons())


def decide(windows: Sequence[ComparedWindow], table: ActionTable) -> MonitoringDecision:
    """Look the confirmed findings of the last tested window up in the decision table."""
    tested = [window for window in windows if window.tested]
    if not tested:
        return MonitoringDecision("nothing", None)
    last = tested[-1]
    certain = sorted(last.findings, key=lambda each: 1.0 if each.p_value is None else each.p_value)
    found = tuple((each, action_of(each, table)) for each in certain if each.confirmed)
    action = max((action for _, action in found), key=ACTIONS.index, default=ACTIONS[0])
    return MonitoringDecision(action, last.number, tuple(pair for pair in found if pair[1] != ACTIONS[0]))


def action_of(finding: Comparison, table: ActionTable) -> MonitoringAction:
    """The action of the table for a kind of finding."""
    action: MonitoringAction = getattr(table, finding.kind)
    return action
