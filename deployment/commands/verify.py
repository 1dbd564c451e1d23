"""`verify`: whether the ledger is what was written, and the registry as it says."""

from deployment.commands.open_gate import gate_of
from deployment.gate.audit import audit
from deployment.ledger.champion_change import ChampionChange
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


class LedgerDiffers(LakehouseError):
    """Ledger and registry do not say the same."""

    @classmethod
    def in_points(cls, name: str, problems: list[str]) -> "LedgerDiffers":
        return cls(
            f"the ledger of {name} and the registry differ:\n  " + "\n  ".join(problems),
            hint=f"Finish what a command left open: python -m deployment.run verify --use-case {name} --repair\n"
            "  What is still named then, put back from a backup.",
        )


def verify(name: str, settings: Settings, *, repair: bool) -> None:
    """Check the chain, and that the registry is as it says.

    Raises:
        LedgerBroken: the chain is not what was written.
        LedgerDiffers: the registry is not as it says.
    """
    with gate_of(name, settings) as gate:
        succession = ChampionChange(name, gate.client, gate.ledger)
        history = succession.history()
        problems = audit(gate.client, name, history)
        if repair:
            with gate.alone():
                _tell_repaired(problems)
            history = succession.history()
            problems = audit(gate.client, name, history)
    if problems:
        raise LedgerDiffers.in_points(name, problems)
    console.detail(
        f"{len(history.entries)} entries, and the registry is as they say. The chain ends with"
        f" {history.head or 'nothing'}."
    )


def _tell_repaired(problems: list[str]) -> None:
    for problem in problems:
        console.detail(f"Found, and put right where a command can: {problem}")
