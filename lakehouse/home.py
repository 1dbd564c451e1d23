"""Homes of the lifecycle: a checkout with its own engine, or a Databricks workspace.

Everything that depends on the home is a fact here, or a table keyed by the home: `OPEN_STORE` for feature stores,
`OPEN_MAINTENANCE` for their maintenance, and `OPEN_LEDGER` for ledgers. A Spark Connect server changes the engine
(`SPARK_REMOTE`) and not the home.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Home:
    """Facts in which homes differ.

    Attributes:
        name: value of FEATURE_STORE that chooses this home.
        runs_model_server: True if the platform runs the model server.
        experiment_folder: prefix of the names of MLflow experiments.
        registry_uri: address of the model registry; None if the tracking server is also the registry.
    """

    name: str
    runs_model_server: bool
    experiment_folder: str
    registry_uri: str | None


LOCAL = Home("local", runs_model_server=False, experiment_folder="", registry_uri=None)
# A workspace keeps experiments under paths, and models in Unity Catalog.
DATABRICKS = Home("databricks", runs_model_server=True, experiment_folder="/Shared/", registry_uri="databricks-uc")
HOMES: Mapping[str, Home] = MappingProxyType({home.name: home for home in (LOCAL, DATABRICKS)})


def keeps_names_in_catalogs(registry_uri: str) -> bool:
    """Return True if the registry is Unity Catalog, where a model's name is catalog.schema.name.

    >>> keeps_names_in_catalogs("databricks-uc"), keeps_names_in_catalogs("http://mlflow:5000")
    (True, False)
    """
    return registry_uri.startswith(str(DATABRICKS.registry_uri))


def tracking_home(tracking_uri: str) -> Home:
    """The home of the MLflow server; a process outside the workspace may log to a workspace too.

    >>> tracking_home("databricks://profile").name
    'databricks'
    >>> tracking_home("http://mlflow:5000").name
    'local'
    """
    return DATABRICKS if tracking_uri.startswith(DATABRICKS.name) else LOCAL
