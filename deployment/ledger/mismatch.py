"""Errors of a ledger and a registered model that do not belong together, with the way on."""

from deployment.ledger.entries import LedgerBroken
from deployment.ledger.history import History
from lakehouse.errors import LakehouseError

HEAD = "ledger_head"  # tag of the registered model: hash of the last entry


class LedgerMismatch(LedgerBroken):
    """The registered model and the ledger do not belong together."""

    @classmethod
    def of_model(cls, name: str, head: str) -> "LedgerMismatch":
        return cls(
            f"the ledger of {name} ends with {head[:12]}, but the registered model has no tag {HEAD}",
            hint="No command changes anything until this is resolved. If the model was deleted and trained again, or"
            " MLflow's database was restored from a copy without any entry, reset the ledger; its earlier entries no"
            f" longer apply:\n  {_reset_command(name)}\n"
            "  Otherwise the tag was deleted: restore it with the hash of the last ledger entry.",
        )

    @classmethod
    def of_ledger(cls, name: str, head: str) -> "LedgerMismatch":
        return cls(
            f"the ledger of {name} is lost: it has no entries, but the tag {HEAD} records {head[:12]}",
            hint="No command changes anything until this is resolved. Restore deployment.ledger (a table, or an"
            " experiment of a shared MLflow server) from a backup. Without a backup, start a new ledger:\n"
            f"  {_reset_command(name)}",
        )


class LedgerElsewhere(LedgerMismatch):
    """The ledger of the registered model is stored in another place than that of this machine."""

    @classmethod
    def of(cls, name: str, ledger: str, location: str, history: History, head: str) -> "LedgerElsewhere":
        """Refuse a ledger at `location`, where the registry records one at `ledger`."""
        found = f"ends with {history.head[:12]}, but the registry records {head[:12]}" if history.head else "is empty"
        return cls(
            f"the ledger of {name} lies in {ledger or 'a place that was not recorded'}; the ledger of this machine"
            f" ({location}) {found}",
            hint="Run the command on the machine of that ledger, or set LAKEHOUSE_WAREHOUSE to its warehouse. If"
            " MLFLOW_TRACKING_URI is a server, all machines share one ledger. A rollback works here too: the next"
            " command on that machine records it. If that ledger is lost, continue with this one:\n"
            f"  {_reset_command(name)}",
        )


class RegistryRestored(LedgerMismatch):
    """The registry is an older copy than the ledger."""

    @classmethod
    def of(cls, name: str, known: int, entries: int) -> "RegistryRestored":
        return cls(
            f"the registry of {name} was restored from an older copy: it knows {known} of {entries} entries of the"
            " ledger",
            hint="Keep the history, and continue from the restored registry (a rollback does so by itself):\n"
            f"  {_reset_command(name)}",
        )


class ResetRefused(LakehouseError):
    """The ledger matches the registered model, so there is nothing to reset."""

    @classmethod
    def of(cls, name: str) -> "ResetRefused":
        return cls(
            f"the ledger of {name} matches its registered model, or both are empty: nothing to reset",
            hint=f"Check for other differences: python -m deployment.run verify --use-case {name}",
        )


def _reset_command(name: str) -> str:
    return f'python -m deployment.run reset-ledger --use-case {name} --reason "..."'
