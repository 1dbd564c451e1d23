"""Target of a rollback where the ledger cannot be read: the marks of former champions in the registry."""

from mlflow.tracking import MlflowClient

from deployment.gate.errors import RollbackRefused
from deployment.ledger import aliases
from training.registry.versions import CHAMPION, version_of, versions_of


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
