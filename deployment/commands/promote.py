"""`promote`: judge the challenger, and let the endpoint follow a new champion."""

from deployment.commands.serve import deploy
from deployment.gate import Gate
from deployment.ledger import Ledger
from deployment.model_server import process
from deployment.model_server.settings import ServerSettings
from deployment.promotion import Decision
from lakehouse import console
from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.warehouse import Warehouse
from training.feature_store.home import open_store
from training.tracking import tracking
from training.use_case import load


def promote(name: str, settings: Settings) -> bool:
    """Judge the challenger and do what the verdict says; whether it was promoted.

    Raises:
        LakehouseError: it could not be judged, and nothing has changed.
    """
    use_case = load(name)
    session, warehouse = open_session(settings.remote), Warehouse(settings.warehouse)
    with tracking(settings) as client:
        gate = Gate(use_case, client, open_store(settings), Ledger(session, warehouse))
        console.stage(f"Judging the challenger of {name} on its pinned holdout")
        decision = gate.judge()
        gate.apply(decision)
    _show(decision)
    server = process.running(ServerSettings.of(settings))
    if decision.promote and server is not None:
        deploy(server, use_case, decision.challenger)
    return decision.promote


def _show(decision: Decision) -> None:
    rows = [[r.criterion, r.required, r.found, "yes" if r.passed else "no"] for r in decision.reasons]
    console.table(["criterion", "required", "found", "met"], rows)
    if decision.promote:
        console.detail(f"Version {decision.challenger} is the champion.")
    else:
        kept = f"version {decision.champion} stays the champion" if decision.champion else "there is no champion"
        console.detail(f"Version {decision.challenger} is not promoted; {kept}.")
