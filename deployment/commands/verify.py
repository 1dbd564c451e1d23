"""`verify`: checks the ledger, that the registry matches it, and that the endpoint serves the champion."""

from deployment.commands.open_gate import gate_of, update_if_behind
from deployment.gate.audit import audit
from deployment.ledger.champion_change import ChampionChange
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


class LedgerDiffers(LakehouseError):
    """The registry does not match the ledger, or the endpoint does not serve the champion."""

    @classmethod
    def in_points(cls, name: str, problems: list[str]) -> "LedgerDiffers":
        return cls(
            f"ledger, registry and endpoint of {name} differ:\n  " + "\n  ".join(problems),
            hint=f"Complete interrupted commands: python -m deployment.run verify --use-case {name} --repair\n"
            "  If differences remain, restore them from a backup.",
        )


def verify(name: str, settings: Settings, *, repair: bool) -> None:
    """Check the chain of entries, that the registry matches it, and that the endpoint serves the champion.

    Args:
        repair: True to complete an interrupted command first, and to update an endpoint that is behind.

    Raises:
        LedgerBroken: The chain is damaged.
        LedgerDiffers: The registry does not match the ledger, or the endpoint does not serve the champion.
    """
    from deployment.commands.serving.champion_endpoint import difference

    with gate_of(name, settings) as gate:
        change = ChampionChange(name, gate.client, gate.ledger)
        history = change.history()
        problems = audit(gate.client, name, history)
        if repair:
            with gate.locked():
                _print_repaired(problems)
            update_if_behind(gate, settings)
            history = change.history()
            problems = audit(gate.client, name, history)
        if endpoint := difference(gate.use_case, gate.client, settings):
            problems.append(endpoint)
    if problems:
        raise LedgerDiffers.in_points(name, problems)
    console.detail(
        f"{len(history.entries)} entries verified; the registry matches. Last hash: {history.head or 'none'}"
    )


def _print_repaired(problems: list[str]) -> None:
    for problem in problems:
        console.detail(f"Found, and repaired if a command can: {problem}")
