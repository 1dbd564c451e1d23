"""`promote`: judge the challenger, and let the endpoint follow a new champion."""

from deployment.commands.open_gate import follow, gate_of
from deployment.gate import verdict
from deployment.gate.decision import Decision
from deployment.ledger.history import History
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


class NeverJudged(LakehouseError):
    """There is no verdict on the version."""

    @classmethod
    def of(cls, name: str, version: int) -> "NeverJudged":
        return cls(
            f"version {version} of {name} was never judged",
            hint=f"See which were: python -m deployment.run history --use-case {name}",
        )


def promote(name: str, settings: Settings, version: int | None, *, dry_run: bool) -> bool:
    """Judge the challenger and do what the verdict says; whether it was promoted.

    Of a dry run: whether every criterion is met that no person decides.

    Raises:
        LakehouseError: it could not be judged, and nothing has changed.
    """
    with gate_of(name, settings) as gate:
        console.stage(f"Judging the challenger of {name} on its pinned holdout")
        decision = gate.judge(version) if dry_run else gate.promote(version)
    _show(decision)
    if dry_run:
        console.detail("A dry run: nothing was changed, and nothing recorded.")
    elif decision.promote:
        console.detail(f"Version {decision.challenger} is the champion.")
        follow(gate.use_case, decision.challenger, settings)
    if decision.lacks_approval_alone:
        console.detail(f"Approve it: python -m deployment.run approve --use-case {name} --reason ...")
    return decision.promote or (dry_run and decision.lacks_approval_alone)


def explain(name: str, version: int, settings: Settings) -> None:
    """Show the last verdict on a version, as it was.

    Raises:
        NeverJudged, VerdictLost: there is none, or not the one that the ledger knows.
    """
    with gate_of(name, settings) as gate:
        entry = History(gate.ledger.entries(name)).verdict_on(version)
        if entry is None:
            raise NeverJudged.of(name, version)
        decision = verdict.find(gate.client, name, version, entry.verdict)
    console.stage(f"Judged by {entry.actor} at {entry.at:%Y-%m-%d %H:%M:%S} UTC")
    _show(decision)


def _show(decision: Decision) -> None:
    console.table(["criterion", "required", "found", "interval", "met"], verdict.table(decision))
    kept = f"version {decision.champion} stays the champion" if decision.champion else "there is no champion"
    if decision.promote:
        console.detail(f"Version {decision.challenger} meets every criterion.")
    else:
        console.detail(f"Version {decision.challenger} is not promoted; {kept}.")
