"""Target of a rollback: by the ledger, or by the marks of former champions in the registry if it cannot be read."""

from mlflow.tracking import MlflowClient

from deployment.gate.errors import RollbackRefused
from deployment.ledger import aliases
from deployment.ledger.history import History
from training.registry.versions import CHAMPION, version_of, versions_of


def recorded_target(name: str, history: History, to: int | None) -> int:
    """Return the champion before the current one, or `to` if it was champion once.

    Raises:
        RollbackRefused: No earlier champion exists, or `to` was never champion.
    """
    if to is None:
        if history.previous is None:
            candidates = [version for version in history.all_champions if version != history.champion]
            raise RollbackRefused.no_previous(name, candidates)
        return history.previous
    if to not in history.all_champions:
        raise RollbackRefused.never_champion(name, to, history.all_champions)
    return to


def marked_target(client: MlflowClient, name: str, to: int | None) -> int:
    """Return the version with the alias `previous`, or `to` if its stage shows that it was champion.

    Raises:
        RollbackRefused: No version has the alias, or `to` was never champion.
    """
    archived = [
        int(version.version) for version in versions_of(client, name) if version.tags.get("stage") == "Archived"
    ]
    current, previous = version_of(client, name, CHAMPION), version_of(client, name, aliases.PREVIOUS)
    if to is None:
        if previous is None:
            raise RollbackRefused.no_previous(name, archived)
        return int(previous.version)
    if to not in archived and (current is None or to != int(current.version)):
        raise RollbackRefused.never_champion(name, to, archived)
    return to
