"""Where things are: read from the environment once, at the edge."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """The fixed places of one checkout, each movable by one environment variable."""

    project: Path
    warehouse: Path
    remote: str | None
    tracking_uri: str
    registry_uri: str
    server: str

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps files when its store is a database of this project."""
        return self.project / "mlartifacts"

    @property
    def reports(self) -> Path:
        return self.project / "reports"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read LAKEHOUSE_WAREHOUSE, SPARK_REMOTE, MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI and MODEL_SERVER.

        Relative paths are below the project, whatever the working directory.
        """
        tracking_uri = environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{PROJECT / 'mlflow.db'}")
        return cls(
            project=PROJECT,
            warehouse=PROJECT / environment.get("LAKEHOUSE_WAREHOUSE", "warehouse"),
            remote=environment.get("SPARK_REMOTE"),
            tracking_uri=tracking_uri,
            registry_uri=environment.get("MLFLOW_REGISTRY_URI", _registry_beside(tracking_uri)),
            server=environment.get("MODEL_SERVER", "http://127.0.0.1:8080"),
        )


def _registry_beside(tracking_uri: str) -> str:
    """A workspace keeps models in Unity Catalog; every other server keeps them itself."""
    return "databricks-uc" if tracking_uri.startswith("databricks") else tracking_uri
