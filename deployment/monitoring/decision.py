"""The decision of a run: the strongest action that the confirmed findings of its last tested window call for.

Labels arrive late, so performance and coverage are those of the last window with enough labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from deployment.monitoring.findings import ComparedWindow, Comparison
from training.use_case.monitoring import ActionTable, MonitoringAction

ACTIONS: tuple[MonitoringAction, ...] = get_args(MonitoringAction)  # from the weakest to the strongest
OF_LABELS = frozenset({"performance", "coverage"})  # the kinds of findings that need labels
EXIT_CODES = {"nothing": 0, "alert": 4, "retrain": 5, "roll_back": 6}


@dataclass(frozen=True)
class MonitoringDecision:
    """An action with its reasons.

    Attributes:
        window: number of the last tested window; None if no window was tested.
        findings: the confirmed current findings that call for something, with their actions: the strongest action
            first, and of one action the most certain finding first.
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
    """Look the confirmed current findings up in the decision table."""
    last = next((window for window in reversed(windows) if window.tested), None)
    if last is None:
        return MonitoringDecision("nothing", None)
    current = [finding for _, finding in current_findings(windows)]
    confirmed = [(each, action_of(each, table)) for each in current if each.confirmed]
    found = sorted(confirmed, key=lambda pair: (-ACTIONS.index(pair[1]), pair[0].p_or_one))
    action = found[0][1] if found else ACTIONS[0]
    return MonitoringDecision(action, last.number, tuple(pair for pair in found if pair[1] != ACTIONS[0]))


def current_findings(windows: Sequence[ComparedWindow]) -> list[tuple[ComparedWindow, Comparison]]:
    """Findings of the last tested window, and those of labels in the last window with enough labels."""
    tested = [window for window in windows if window.tested]
    labelled = [window for window in tested if any(each.kind in OF_LABELS for each in window.comparisons)]
    others = [(window, each) for window in tested[-1:] for each in window.findings if each.kind not in OF_LABELS]
    return [
        *((window, each) for window in labelled[-1:] for each in window.findings if each.kind in OF_LABELS),
        *others,
    ]


def action_of(finding: Comparison, table: ActionTable) -> MonitoringAction:
    """The action of the table for a kind of finding."""
    action: MonitoringAction = getattr(table, finding.kind)
    return action
