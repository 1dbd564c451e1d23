"""`verify`: checks the ledger, and that the registry matches it."""

from deployment.commands.open_gate import gate_of
from deployment.gate.audit import audit
from deployment.ledger.champion_change import ChampionChange
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


class LedgerDiffers(LakehouseError):
    """The registry does not match the ledger."""

    @classmethod
    def in_points(cls, name: str, problems: list[str]) -> "LedgerDiffers":
        return cls(
            f"the ledger of {name} and the registry differ:\n  " + "\n  ".join(problems),
            hint=f"Complete interrupted commands: python -m deployment.run verify --use-case {name} --repair\n"
            "  If differences remain, restore them from a backup.",
        )


def verify(name: str, settings: Settings, *, repair: bool) -> None:
    """Check the chain of entries, and that the registry matches it.

    Raises:
        LedgerBroken: The chain is damaged.
        LedgerDiffers: The registry does not match the ledger.
    """
    with gate_of(name, settings) as gate:
        change = ChampionChange(name, gate.client, gate.ledger)
        history = change.history()
        problems = audit(gate.client, name, history)
        if repair:
            with gate.locked():
                _print_repaired(problems)
            history = change.history()
            problems = audit(gate.client, name, history)
    if problems:
        raise LedgerDiffers.in_points(name, problems)
    console.detail(
        f"{len(history.entries)} entries verified; the registry matches. Last hash: {history.head or 'none'}"
    )


def _print_repaired(problems: list[str]) -> None:
    for problem in problems:
        console.detail(f"Found, and repaired if a command can: {problem}")
