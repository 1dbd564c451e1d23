"""`promote`: evaluate the challenger; serve a new champion."""

from deployment.commands.open_gate import changing_gate, gate_of, update_endpoint
from deployment.commands.rollouts.command import roll_out_champion
from deployment.gate import verdict
from deployment.gate.criteria.decision import Decision
from deployment.ledger.history import History
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


class NoVerdict(LakehouseError):
    """No verdict on the version is recorded."""

    @classmethod
    def of(cls, name: str, version: int) -> "NoVerdict":
        return cls(
            f"version {version} of {name} has no verdict",
            hint=f"Show the recorded verdicts: python -m deployment.run history --use-case {name}",
        )


def promote(name: str, settings: Settings, version: int | None, *, dry_run: bool, roll_out: bool = True) -> bool:
    """Evaluate the challenger and apply the verdict; return True if it was promoted, and not rolled back.

    A dry run returns True if every criterion is met, a manual approval excepted.

    Args:
        name: use case.
        settings: settings of the environment.
        version: version that the challenger must have; None accepts any.
        dry_run: True to change and record nothing.
        roll_out: False to leave the endpoint as it is.

    Raises:
        LakehouseError: The challenger could not be evaluated; nothing was changed.
    """
    with (gate_of if dry_run else changing_gate)(name, settings) as gate:
        console.stage(f"Evaluating the challenger of {name} on its pinned holdout")
        decision = gate.evaluate(version) if dry_run else gate.promote(version)
    _show(decision)
    if dry_run:
        console.detail("Dry run: nothing was changed or recorded")
    elif decision.promote:
        console.detail(f"Version {decision.challenger} is the champion")
        if not roll_out:
            console.detail(f"Roll it out: python -m deployment.run rollout --use-case {name}")
        elif gate.use_case.serving.rollout is None:
            update_endpoint(gate.use_case, decision.challenger, settings)
        else:
            return roll_out_champion(name, settings)
    if decision.lacks_only_approval:
        console.detail(f"To approve it: python -m deployment.run approve --use-case {name} --reason ...")
    return decision.promote or (dry_run and decision.lacks_only_approval)


def explain(name: str, version: int, settings: Settings) -> None:
    """Show the last verdict on a version.

    Raises:
        NoVerdict: No verdict on the version is recorded.
        VerdictUnavailable: The verdict is missing or was changed.
    """
    with gate_of(name, settings) as gate:
        entry = History(gate.ledger.entries(name)).last_verdict(version)
        if entry is None:
            raise NoVerdict.of(name, version)
        decision = verdict.load(gate.client, name, version, entry.verdict)
    console.stage(f"Evaluated by {entry.actor} at {entry.at:%Y-%m-%d %H:%M:%S} UTC")
    _show(decision)


def _show(decision: Decision) -> None:
    console.table(["criterion", "required", "actual", "interval", "met"], verdict.rows(decision))
    for change in decision.criteria_changes:
        console.detail(f"Criteria changed since the last verdict: {change}")
    champion = f"version {decision.champion} stays the champion" if decision.champion else "no champion yet"
    if decision.promote:
        console.detail(f"Version {decision.challenger} meets every criterion")
    else:
        console.detail(f"Version {decision.challenger} is not promoted; {champion}")
