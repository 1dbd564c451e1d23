"""Aliases and stage tags of model versions. The alias `champion` is authoritative; everything else follows it."""

from collections.abc import Collection
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse.errors import LakehouseError
from training.registry.versions import CHALLENGER, CHAMPION, model_of, version_of, versions_of

PREVIOUS = "previous"
APPROVAL, APPROVED = "approval", "Approved"  # tag that a Databricks deployment job checks


class NoChallenger(LakehouseError):
    """No challenger is registered."""

    @classmethod
    def of(cls, use_case: str, champion: ModelVersion | None) -> "NoChallenger":
        state = f"version {champion.version} is the champion" if champion else "it has no champion either"
        return cls(
            f"{use_case} has no challenger; {state}",
            hint=f"Train one: python -m training.run --use-case {use_case}",
        )

    @classmethod
    def other_version(cls, use_case: str, required: int, challenger: str) -> "NoChallenger":
        return cls(
            f"version {required} is not the challenger of {use_case}; version {challenger} is",
            hint=f"Pass --version {challenger}. To evaluate version {required}, give it the alias {CHALLENGER}.",
        )


class NoModel(LakehouseError):
    """The model or version is not in the registry."""

    @classmethod
    def of(cls, use_case: str) -> "NoModel":
        return cls(
            f"{use_case} has no registered model", hint=f"Train one: python -m training.run --use-case {use_case}"
        )

    @classmethod
    def version(cls, use_case: str, number: int) -> "NoModel":
        return cls(
            f"version {number} of {use_case} is not in the registry",
            hint=f"List the recorded versions: python -m deployment.run history --use-case {use_case}",
        )


class NoChampion(LakehouseError):
    """No champion is registered."""

    @classmethod
    def of(cls, use_case: str) -> "NoChampion":
        return cls(
            f"{use_case} has no champion to serve",
            hint=f"Promote one: python -m deployment.run promote --use-case {use_case}",
        )


@dataclass(frozen=True)
class AliasedVersions:
    """Versions with the aliases challenger and champion; the champion may be missing."""

    challenger: ModelVersion
    champion: ModelVersion | None


def aliased_versions(client: MlflowClient, name: str, required: int | None = None) -> AliasedVersions:
    """Return the challenger and the champion of a model.

    Args:
        client: registry client.
        name: registered model.
        required: version that the challenger must have; None accepts any.

    Raises:
        NoChallenger: No version carries the alias, or it is not the required one.
    """
    challenger, current = version_of(client, name, CHALLENGER), version_of(client, name, CHAMPION)
    if challenger is None or (current is not None and _same_version(challenger, current)):
        raise NoChallenger.of(name, current)
    if required is not None and int(challenger.version) != required:
        raise NoChallenger.other_version(name, required, str(challenger.version))
    return AliasedVersions(challenger, current)


def champion(client: MlflowClient, name: str) -> ModelVersion:
    """Version with the alias champion.

    Raises:
        NoChampion: No version was promoted yet.
    """
    current = version_of(client, name, CHAMPION)
    if current is None:
        raise NoChampion.of(name)
    return current


def synchronize(client: MlflowClient, name: str, previous: int | None, champions: Collection[int] = ()) -> None:
    """Set every stage tag and the other aliases to match the alias `champion`, also after an interrupted command.

    Args:
        client: registry client.
        name: registered model.
        previous: target of a rollback, according to the ledger.
        champions: every version that was ever champion, according to the ledger.
    """
    current = version_of(client, name, CHAMPION)
    if current is None:
        return
    for version in versions_of(client, name):
        stage = version.tags.get("stage")
        if _same_version(version, current):
            expected = "Production"
        elif stage == "Production" or int(version.version) in champions:
            expected = "Archived"
        else:
            continue
        if stage != expected:
            client.set_model_version_tag(name, str(version.version), "stage", expected)
    _set_previous(client, name, previous)
    challenger = version_of(client, name, CHALLENGER)
    if challenger is not None and _same_version(challenger, current):
        client.delete_registered_model_alias(name, CHALLENGER)


def _set_previous(client: MlflowClient, name: str, version: int | None) -> None:
    current = version_of(client, name, PREVIOUS)
    if version is None and current is not None:
        client.delete_registered_model_alias(name, PREVIOUS)
    elif version is not None and (current is None or int(current.version) != version):
        client.set_registered_model_alias(name, PREVIOUS, str(version))


def require_model(client: MlflowClient, name: str) -> None:
    """Check that the model is registered.

    Raises:
        NoModel: No such model is registered.
    """
    if model_of(client, name) is None:
        raise NoModel.of(name)


def version(client: MlflowClient, name: str, number: int) -> ModelVersion:
    """Return one version.

    Raises:
        NoModel: The version was deleted.
    """
    if not exists(client, name, number):
        raise NoModel.version(name, number)
    return client.get_model_version(name, str(number))


def exists(client: MlflowClient, name: str, version: int) -> bool:
    """True if the registry has the version."""
    return any(int(each.version) == version for each in versions_of(client, name))


def _same_version(one: ModelVersion, other: ModelVersion) -> bool:
    # Registries disagree on whether a version is a number or its text.
    return int(one.version) == int(other.version)
