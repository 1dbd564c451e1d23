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
        """Read LAKEHOUSE_WAREHOUSE, SPARK_REMOTE, MLFLOW_TRACKING_URI and MODEL_SERVER, or take the defaults.

        Relative paths are below the project, whatever the working directory.
        """
        return cls(
            project=PROJECT,
            warehouse=PROJECT / environment.get("LAKEHOUSE_WAREHOUSE", "warehouse"),
            remote=environment.get("SPARK_REMOTE"),
            tracking_uri=environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{PROJECT / 'mlflow.db'}"),
            server=environment.get("MODEL_SERVER", "http://127.0.0.1:8080"),
        )
