"""Where things are: read from the environment once, at the edge."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import LakehouseError, nearest

PROJECT = Path(__file__).resolve().parent.parent
FEATURE_STORES = ("local", "databricks")


class SettingRefused(LakehouseError):
    """A variable has a value that cannot be."""

    @classmethod
    def unknown(cls, variable: str, value: str, known: Sequence[str]) -> "SettingRefused":
        return cls(
            f"{variable} is '{value}', which it cannot be. {nearest(value, list(known))}",
            hint=f"Set {variable} to one of {', '.join(known)}, or leave it unset for {known[0]}.",
        )


@dataclass(frozen=True)
class Settings:
    """The fixed places of one checkout, each movable by one environment variable."""

    project: Path
    warehouse: Path
    remote: str | None
    tracking_uri: str
    registry_uri: str
    server: str
    feature_store: str = FEATURE_STORES[0]
    catalog: str = "main"
    online_store: str = "lakehouse"
    in_workspace: bool = False
    master: str = "local[*]"

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps files when its store is a database of this project."""
        return self.project / "mlartifacts"

    @property
    def reports(self) -> Path:
        return self.project / "reports"

    @property
    def journals(self) -> Path:
        """Where trials are kept until MLflow has them."""
        return self.project / ".trials"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read LAKEHOUSE_WAREHOUSE, SPARK_REMOTE, SPARK_MASTER, FEATURE_STORE, MODEL_SERVER, and the vendors' own.

        Relative paths are below the project, whatever the working directory.

        Raises:
            SettingRefused: FEATURE_STORE names none.
        """
        tracking_uri = environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{PROJECT / 'mlflow.db'}")
        return cls(
            project=PROJECT,
            warehouse=PROJECT / environment.get("LAKEHOUSE_WAREHOUSE", "warehouse"),
            remote=environment.get("SPARK_REMOTE"),
            tracking_uri=tracking_uri,
            registry_uri=environment.get("MLFLOW_REGISTRY_URI", _registry_beside(tracking_uri)),
            server=environment.get("MODEL_SERVER", "http://127.0.0.1:8080"),
            feature_store=_feature_store(environment.get("FEATURE_STORE", FEATURE_STORES[0])),
            catalog=environment.get("DATABRICKS_CATALOG", "main"),
            online_store=environment.get("ONLINE_STORE", "lakehouse"),
            master=environment.get("SPARK_MASTER", "local[*]"),
            # Every Databricks runtime sets it, and nothing else does.
            in_workspace="DATABRICKS_RUNTIME_VERSION" in environment,
        )


def _feature_store(name: str) -> str:
    if name not in FEATURE_STORES:
        raise SettingRefused.unknown("FEATURE_STORE", name, FEATURE_STORES)
    return name


def _registry_beside(tracking_uri: str) -> str:
    """A workspace keeps models in Unity Catalog; every other server keeps them itself."""
    return "databricks-uc" if tracking_uri.startswith("databricks") else tracking_uri
