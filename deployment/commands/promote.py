"""`promote`: evaluate the challenger; serve a new champion."""

from enum import StrEnum

from deployment.commands.open_gate import changing_gate, gate_of, update_endpoint
from deployment.gate import verdict
from deployment.gate.criteria.decision import Decision
from deployment.ledger.history import History
from deployment.rollout.state import Phase
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


class PromotionOutcome(StrEnum):
    """Outcome of the command."""

    PROMOTED = "promoted"
    PAUSED = "paused"  # promoted; its rollout waits for a person
    NOT_PROMOTED = "not promoted"  # or promoted, and rolled back by its rollout


def promote(
    name: str, settings: Settings, version: int | None, *, dry_run: bool, roll_out: bool = True
) -> PromotionOutcome:
    """Evaluate the challenger, apply the verdict, and roll a new champion out.

    A dry run returns `PROMOTED` if every criterion is met, a manual approval excepted.

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
            from deployment.commands.rollouts.command import roll_out_champion

            phase = roll_out_champion(name, settings)
            paused = PromotionOutcome.PAUSED if phase is Phase.PAUSED else PromotionOutcome.PROMOTED
            return PromotionOutcome.NOT_PROMOTED if phase is Phase.ROLLED_BACK else paused
    if decision.lacks_only_approval:
        console.detail(f"To approve it: python -m deployment.run approve --use-case {name} --reason ...")
    promoted = decision.promote or (dry_run and decision.lacks_only_approval)
    return PromotionOutcome.PROMOTED if promoted else PromotionOutcome.NOT_PROMOTED


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
