"""The two commands that move a champion, for a child process that is killed during them."""

from collections.abc import Callable, Mapping

from deployment.gate.criteria.decision import CriterionResult, Decision
from deployment.gate.gate import Gate
from tests.contract.gate.fault_injection import Writes, kill_process, with_fault
from tests.contract.people import Environment, opened_gate

MET = CriterionResult("minimum roc_auc", ">= 0.6", "0.7000", passed=True)
MISSED = CriterionResult("same holdout", "aaa", "bbb", passed=False)


def promoting(challenger: int, champion: int | None) -> Decision:
    return Decision(challenger, champion, "h" * 64, promote=True, reasons=(MET,))


def refusing(challenger: int, champion: int | None) -> Decision:
    return Decision(challenger, champion, "h" * 64, promote=False, reasons=(MET, MISSED))


def promote(gate: Gate) -> None:
    """Version 4 for version 2."""
    with gate.locked():
        gate.apply(promoting(4, 2))


def roll_back(gate: Gate) -> None:
    """From version 2 to version 1."""
    gate.rollback(None, "complaints")


COMMANDS: Mapping[str, Callable[[Gate], None]] = {"promote": promote, "rollback": roll_back}
AFTER = {"promote": 4, "rollback": 1}


def run_until_killed(environment: Environment, command: str, writes: int) -> None:
    """Run the command in a child process, which is killed before that write."""
    with opened_gate(environment) as gate:
        COMMANDS[command](with_fault(gate, Writes(writes, kill_process)))
