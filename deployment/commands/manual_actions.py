"""`rollback`, `freeze`, `unfreeze`, `approve`, `reset-ledger`: manual decisions."""

from deployment.commands.open_gate import changing_gate, gate_of, try_to_update, update_endpoint
from deployment.commands.use_cases import load_for_emergency
from deployment.rollout.journal import end_superseded
from lakehouse import console
from lakehouse.settings import Settings
from training.registry.versions import CHAMPION, version_of


def rollback(  # noqa: PLR0913  (which champion, which instead, and why)
    name: str,
    settings: Settings,
    to: int | None,
    reason: str,
    *,
    roll_out: bool = True,
    instead_of: int | None = None,
) -> None:
    """Restore an earlier champion, and give it all traffic at once. The file of the use case need not be valid.

    Args:
        name: use case.
        settings: settings of the environment.
        to: former champion to restore; None for the previous one.
        reason: reason in a sentence.
        roll_out: False to leave the endpoint as it is.
        instead_of: version that must be the champion; None accepts any.
    """
    with gate_of(name, settings, load_for_emergency) as gate:
        before = version_of(gate.client, name, CHAMPION)
        version = gate.rollback(to, reason, instead_of)
        unrecorded = gate.missing_ledger()
    unchanged = before is not None and int(before.version) == version
    console.detail(
        f"Version {version} is {'already ' if unchanged else ''}the champion{': no change' if unchanged else ''}"
    )
    if unrecorded:
        console.detail(f"The next command on the machine of the ledger records it: {unrecorded}")
    if not roll_out:
        console.detail(f"Move the traffic: python -m deployment.run rollout --use-case {name}")
        return
    update_endpoint(gate.use_case, version, settings)
    if not unrecorded:
        with gate_of(name, settings, load_for_emergency) as gate:
            end_superseded(gate)


def reset_ledger(name: str, settings: Settings, reason: str) -> None:
    """Start a new chain in the ledger for the current registered model."""
    with gate_of(name, settings, load_for_emergency) as gate:
        gate.reset_ledger(reason)
    console.detail(f"The ledger of {name} now follows the current registered model")


def freeze(name: str, settings: Settings, reason: str) -> None:
    """Block promotions at once; an update of an endpoint that is behind can take minutes, and comes after."""
    with gate_of(name, settings, load_for_emergency) as gate:
        gate.freeze(reason)
        unfreeze_command = f"python -m deployment.run unfreeze --use-case {name} --reason TEXT"
        console.detail(f"Promotions of {name} are blocked. Allow them: {unfreeze_command}")
        try_to_update(gate, settings)


def unfreeze(name: str, settings: Settings, reason: str) -> None:
    """Allow promotions again."""
    with changing_gate(name, settings, load_for_emergency) as gate:
        gate.unfreeze(reason)
    console.detail(f"Promotions of {name} are allowed")


def approve(name: str, settings: Settings, version: int | None, reason: str | None) -> None:
    """Record the approval of the challenger, with a reason or by the tag of the version."""
    with changing_gate(name, settings) as gate:
        if reason is None and gate.use_case.promotion.approval == "none":
            console.detail(f"{name} needs no approval")
            return
        approved = gate.approve_by_tag(version) if reason is None else gate.approve(version, reason)
    console.detail(f"Version {approved} is approved until the champion changes")
