"""A controller in a child process that is killed right before or after one of its ledger entries."""

import os
import signal
from dataclasses import dataclass

import mlflow.pyfunc
import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store
import skops.io

from deployment.commands.rollouts import open_rollout
from deployment.commands.rollouts.open_rollout import RolloutOptions
from deployment.endpoints import endpoint_client
from deployment.ledger.entries import Action
from deployment.rollout.journal import LedgerJournal
from deployment.rollout.state import Rollout
from deployment.rollout.transitions import Act
from tests.contract.rollout.golden_versions import RolloutRegistry

EVENTS, BEFORE_RECORD = 0, False
IMPORTED = (mlflow, skops)  # they are imported late otherwise, in each child


@dataclass(frozen=True)
class KilledJournal(LedgerJournal):
    """Kills the process between a side effect and its record, or after the intent of the next one."""

    def record(self, action: Action, rollout: Rollout, event: str, intent: Act | None = None) -> None:
        global EVENTS  # noqa: PLW0603  (of this process)
        EVENTS += 1
        if BEFORE_RECORD:
            os.kill(os.getpid(), signal.SIGKILL)
        super().record(action, rollout, event, intent)
        if EVENTS == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def carry_out_until_killed(registry: RolloutRegistry, url: str, token: str, *, before_record: bool) -> None:
    """Carry out the rollout that is due; the process is killed, or the rollout ends."""
    global BEFORE_RECORD  # noqa: PLW0603  (of this process)
    BEFORE_RECORD = before_record
    vars(open_rollout)["LedgerJournal"] = KilledJournal
    with registry.gate() as gate:
        client = endpoint_client.connect(url, token)
        open_rollout.carry_out(gate, registry.settings, RolloutOptions(), client)
