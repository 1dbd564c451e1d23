"""The version to monitor: its population, and the IDs under which it is logged."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow.artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError, first_line
from training.population.population import FILE, Population
from training.registry.versions import CHAMPION, version_of, versions_of

SYSTEM_TABLE = "system.serving.served_entities"  # IDs of served entities in a workspace


class NotMonitored(LakehouseError):
    """The version cannot be monitored."""

    @classmethod
    def no_champion(cls, name: str) -> "NotMonitored":
        return cls(
            f"{name} has no champion",
            hint=f"Promote one: python -m deployment.run promote --use-case {name}; or pass --version.",
        )

    @classmethod
    def no_version(cls, name: str, number: int, known: list[int]) -> "NotMonitored":
        return cls(
            f"{name} has no version {number}; it has {', '.join(map(str, known)) or 'none'}",
            hint="Pass one of them with --version, or none for the champion.",
        )

    @classmethod
    def no_population(cls, name: str, number: int) -> "NotMonitored":
        return cls(
            f"version {number} of {name} has no population to compare traffic with: it was registered before "
            "monitoring was added",
            hint=f"Train a version that has one: python -m training.run --use-case {name}",
        )

    @classmethod
    def no_slice(cls, number: int, missing: list[str]) -> "NotMonitored":
        return cls(
            f"version {number} has no counts within {', '.join(missing)}: the slice was declared after its training",
            hint="Train again, or remove it from monitoring.slices in the use case.",
        )

    @classmethod
    def unknown_ids(cls, reason: Exception) -> "NotMonitored":
        return cls(
            f"{SYSTEM_TABLE} cannot be read, so the rows of this version are not known: {first_line(reason)}",
            hint="Grant SELECT on the schema system.serving, or pass --all-versions.",
        )


@dataclass(frozen=True)
class MonitoredVersion:
    """A version with its population.

    Attributes:
        model: full name of the registered model.
    """

    model: str
    number: int
    population: Population


def monitored_version(client: MlflowClient, name: str, number: int | None) -> MonitoredVersion:
    """The champion, or another version.

    Raises:
        NotMonitored: there is no such version, or it has no population.
    """
    version = _version(client, name, number)
    found = int(version.version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{found}", dst_path=folder)
        except (MlflowException, OSError) as err:
            raise LakehouseError(
                f"the files of version {found} of {name} cannot be read: {first_line(err)}",
                hint="Check the artifact store of MLflow, then run the command again.",
            ) from err
        file = next(Path(path).rglob(FILE), None)
        if file is None:
            raise NotMonitored.no_population(name, found)
        return MonitoredVersion(str(version.name), found, Population.from_json(file.read_text(encoding="utf-8")))


def served_ids(version: MonitoredVersion) -> frozenset[str]:
    """IDs of the version on our model server: the names that this project gives to served entities."""
    return frozenset({f"{version.model.rpartition('.')[2]}-{version.number}"})


def workspace_ids(session: SparkSession, model: str, number: int) -> frozenset[str]:
    """IDs of a version in a workspace, which are random; a version that never served has none.

    Args:
        session: session of the workspace.
        model: full name of the registered model.
        number: number of the version.

    Raises:
        NotMonitored: the system table cannot be read.
    """
    from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

    try:
        rows = session.table(SYSTEM_TABLE).where(
            (F.col("entity_name") == model) & (F.col("entity_version") == str(number))
        )
        found = [row["served_entity_id"] for row in rows.select("served_entity_id").distinct().collect()]
    except PySparkException as err:
        raise NotMonitored.unknown_ids(err) from err
    return frozenset(found) or frozenset({f"never served: version {number}"})


def _version(client: MlflowClient, name: str, number: int | None) -> ModelVersion:
    if number is None:
        champion = version_of(client, name, CHAMPION)
        if champion is None:
            raise NotMonitored.no_champion(name)
        return champion
    versions = versions_of(client, name)
    found = next((each for each in versions if int(each.version) == number), None)
    if found is None:
        raise NotMonitored.no_version(name, number, sorted(int(each.version) for each in versions))
    return found
