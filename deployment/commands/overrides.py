"""`rollback`, `freeze`, `unfreeze`, `approve`: what people decide."""

from deployment.commands.open_gate import follow, gate_of
from lakehouse import console
from lakehouse.settings import Settings
from training.registry.versions import CHAMPION, version_of


def rollback(name: str, settings: Settings, to: int | None, reason: str) -> None:
    """Let an earlier champion be it again, and its endpoint follow."""
    with gate_of(name, settings) as gate:
        before = version_of(gate.client, name, CHAMPION)
        version = gate.rollback(to, reason)
    again = before is not None and int(before.version) == version
    console.detail(f"Version {version} is the champion{' already: nothing was changed' if again else ''}.")
    follow(gate.use_case, version, settings)


def reset_ledger(name: str, settings: Settings, reason: str) -> None:
    """Let the ledger go on with another registered model, or the model with another ledger."""
    with gate_of(name, settings) as gate:
        gate.reset_ledger(reason)
    console.detail(f"The ledger of {name} goes on with the registered model as it is now.")


def freeze(name: str, settings: Settings, reason: str) -> None:
    """Let nothing be promoted."""
    with gate_of(name, settings) as gate:
        gate.freeze(reason)
    console.detail(f"Nothing of {name} is promoted until: python -m deployment.run unfreeze --use-case {name}")


def unfreeze(name: str, settings: Settings, reason: str) -> None:
    """Let promotion go on."""
    with gate_of(name, settings) as gate:
        gate.unfreeze(reason)
    console.detail(f"Challengers of {name} are promoted again.")


def approve(name: str, settings: Settings, version: int | None, reason: str | None) -> None:
    """Record that a person wants the challenger, for a reason or by the tag of the version."""
    with gate_of(name, settings) as gate:
        if reason is None and gate.use_case.promotion.approval == "none":
            console.detail(f"Versions of {name} need no approval.")
            return
        approved = gate.approve_by_tag(version) if reason is None else gate.approve(version, reason)
    console.detail(f"Version {approved} is approved until the champion changes.")
