"""The aliases and tags that say which version is what. The alias `champion` is the truth; all others follow it."""

from collections.abc import Collection
from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse.errors import LakehouseError
from training.registry.versions import CHALLENGER, CHAMPION, model_of, version_of, versions_of

PREVIOUS = "previous"
APPROVAL, APPROVED = "approval", "Approved"  # the tag that a deployment job of Databricks asks for


class NoChallenger(LakehouseError):
    """There is nothing to promote."""

    @classmethod
    def of(cls, use_case: str, champion: ModelVersion | None) -> "NoChallenger":
        deployed = f"version {champion.version} is the champion" if champion else "and no champion either"
        return cls(
            f"{use_case} has no challenger; {deployed}",
            hint=f"Train one: python -m training.run --use-case {use_case}",
        )

    @classmethod
    def is_another(cls, use_case: str, asked: int, found: str) -> "NoChallenger":
        return cls(
            f"version {asked} is not the challenger of {use_case}: version {found} is",
            hint=f"Name that one, or none. To have version {asked} judged, give it the alias {CHALLENGER}.",
        )


class NoModel(LakehouseError):
    """The registry knows nothing of the use case."""

    @classmethod
    def of(cls, use_case: str) -> "NoModel":
        return cls(
            f"{use_case} has no registered model", hint=f"Train one: python -m training.run --use-case {use_case}"
        )

    @classmethod
    def version(cls, use_case: str, number: int) -> "NoModel":
        return cls(
            f"{use_case} has no version {number} any more",
            hint=f"See which there were: python -m deployment.run history --use-case {use_case}",
        )


class NoChampion(LakehouseError):
    """There is nothing to serve."""

    @classmethod
    def of(cls, use_case: str) -> "NoChampion":
        return cls(
            f"{use_case} has no champion to serve",
            hint=f"Promote one: python -m deployment.run promote --use-case {use_case}",
        )


@dataclass(frozen=True)
class Contest:
    """Who is up against whom."""

    challenger: ModelVersion
    champion: ModelVersion | None


def contest(client: MlflowClient, name: str, asked: int | None = None) -> Contest:
    """The challenger and the champion of a model.

    Args:
        client: of the registry.
        name: of the model.
        asked: the version that the challenger must be; any where it is None.

    Raises:
        NoChallenger: no version waits to be promoted, or another one does.
    """
    challenger, champ = version_of(client, name, CHALLENGER), version_of(client, name, CHAMPION)
    if challenger is None or (champ is not None and _same(challenger, champ)):
        raise NoChallenger.of(name, champ)
    if asked is not None and int(challenger.version) != asked:
        raise NoChallenger.is_another(name, asked, str(challenger.version))
    return Contest(challenger, champ)


def champion(client: MlflowClient, name: str) -> ModelVersion:
    """The version that serves.

    Raises:
        NoChampion: none was promoted yet.
    """
    found = version_of(client, name, CHAMPION)
    if found is None:
        raise NoChampion.of(name)
    return found


def settle(client: MlflowClient, name: str, previous: int | None, former: Collection[int] = ()) -> None:
    """Let every tag and the other aliases follow the alias `champion`, also after a command that was cut off.

    Args:
        client: of the registry.
        name: of the model.
        previous: the version that a rollback goes back to, as the ledger says.
        former: every version that was champion, as the ledger says.
    """
    champ = version_of(client, name, CHAMPION)
    if champ is None:
        return
    for version in versions_of(client, name):
        stage = version.tags.get("stage")
        if _same(version, champ):
            wanted = "Production"
        elif stage == "Production" or int(version.version) in former:
            wanted = "Archived"
        else:
            continue
        if stage != wanted:
            client.set_model_version_tag(name, str(version.version), "stage", wanted)
    _let_previous_be(client, name, previous)
    challenger = version_of(client, name, CHALLENGER)
    if challenger is not None and _same(challenger, champ):
        client.delete_registered_model_alias(name, CHALLENGER)


def _let_previous_be(client: MlflowClient, name: str, version: int | None) -> None:
    known = version_of(client, name, PREVIOUS)
    if version is None and known is not None:
        client.delete_registered_model_alias(name, PREVIOUS)
    elif version is not None and (known is None or int(known.version) != version):
        client.set_registered_model_alias(name, PREVIOUS, str(version))


def require_model(client: MlflowClient, name: str) -> None:
    """Make sure that there is something to say something about.

    Raises:
        NoModel: nothing was ever registered.
    """
    if model_of(client, name) is None:
        raise NoModel.of(name)


def version(client: MlflowClient, name: str, number: int) -> ModelVersion:
    """One version.

    Raises:
        NoModel: it was deleted.
    """
    if not exists(client, name, number):
        raise NoModel.version(name, number)
    return client.get_model_version(name, str(number))


def exists(client: MlflowClient, name: str, version: int) -> bool:
    """Whether the registry has the version, or has it no more."""
    return any(int(each.version) == version for each in versions_of(client, name))


def _same(one: ModelVersion, other: ModelVersion) -> bool:
    # Registries disagree on whether a version is a number or its text.
    return int(one.version) == int(other.version)
