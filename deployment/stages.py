"""The aliases and tags that say which version is what. The alias `champion` is the truth; tags follow it."""

from dataclasses import dataclass

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from lakehouse.errors import LakehouseError
from training.registry import CHALLENGER, CHAMPION, version_of


class NoChallenger(LakehouseError):
    """There is nothing to promote."""

    @classmethod
    def of(cls, use_case: str, champion: ModelVersion | None) -> "NoChallenger":
        deployed = f"version {champion.version} is the champion" if champion else "and no champion either"
        return cls(
            f"{use_case} has no challenger; {deployed}",
            hint=f"Train one: python -m training.run --use-case {use_case}",
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


def contest(client: MlflowClient, name: str) -> Contest:
    """The challenger and the champion of a model.

    Raises:
        NoChallenger: no version waits to be promoted.
    """
    challenger, champ = version_of(client, name, CHALLENGER), version_of(client, name, CHAMPION)
    if challenger is None or (champ is not None and _same(challenger, champ)):
        raise NoChallenger.of(name, champ)
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


def crown(client: MlflowClient, name: str, version: str) -> None:
    """Make a version the champion: one write, before and after which there is exactly one."""
    client.set_registered_model_alias(name, CHAMPION, version)
    settle(client, name)


def settle(client: MlflowClient, name: str) -> None:
    """Let every tag follow the alias `champion`, also after a command that was cut off between two writes."""
    champ = version_of(client, name, CHAMPION)
    if champ is None:
        return
    for version in client.search_model_versions(f"name = '{name}'"):
        stage = version.tags.get("stage")
        if _same(version, champ):
            wanted = "Production"
        elif stage == "Production":
            wanted = "Archived"
        else:
            continue
        if stage != wanted:
            client.set_model_version_tag(name, str(version.version), "stage", wanted)
    challenger = version_of(client, name, CHALLENGER)
    if challenger is not None and _same(challenger, champ):
        client.delete_registered_model_alias(name, CHALLENGER)


def _same(one: ModelVersion, other: ModelVersion) -> bool:
    # Registries disagree on whether a version is a number or its text.
    return int(one.version) == int(other.version)
