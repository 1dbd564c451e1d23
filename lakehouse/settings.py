"""Where things are: read from the environment once, at the edge."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.errors import LakehouseError, nearest

PROJECT = Path(__file__).resolve().parent.parent
FEATURE_STORES = ("local", "databricks")
UNVOUCHED = ("refuse", "allow")


class SettingRefused(LakehouseError):
    """A variable has a value that cannot be."""

    @classmethod
    def unknown(cls, variable: str, value: str, known: Sequence[str]) -> "SettingRefused":
        return cls(
            f"{variable} is '{value}', which it cannot be. {nearest(value, list(known))}",
            hint=f"Set {variable} to one of {', '.join(known)}, or leave it unset for {known[0]}.",
        )


@dataclass(frozen=True)
class ServerAccess:
    """How the model server lets callers in, and what it may load; see docs/serving.md.

    Attributes:
        token, data_token: instead of those in files. The first may do everything, the second asks endpoints.
        token_file, data_token_file: instead of those in the server's state folder.
        credentials: the folder that systemd keeps for this service alone, and hands its credentials over in.
        certificate, key: PEM files, and the server speaks TLS.
        authority: PEM file of who signed the certificate, if it did not sign itself.
        default_endpoint: what `/invocations` asks, for clients of `mlflow models serve`.
        unvouched: whether versions are loaded for whose files the registry has no digest.
    """

    token: str | None = field(default=None, repr=False)
    data_token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    data_token_file: Path | None = None
    credentials: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    default_endpoint: str | None = None
    unvouched: bool = False


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
    serving: ServerAccess = field(default_factory=ServerAccess)

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
        """Read LAKEHOUSE_*, SPARK_REMOTE, SPARK_MASTER, FEATURE_STORE, MODEL_SERVER*, and the vendors' own.

        Relative paths are below the project, whatever the working directory.

        Raises:
            SettingRefused: FEATURE_STORE or MODEL_SERVER_UNVOUCHED is none of what it can be.
        """
        tracking_uri = environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{PROJECT / 'mlflow.db'}")
        return cls(
            project=PROJECT,
            warehouse=PROJECT / environment.get("LAKEHOUSE_WAREHOUSE", "warehouse"),
            remote=environment.get("SPARK_REMOTE"),
            tracking_uri=tracking_uri,
            registry_uri=environment.get("MLFLOW_REGISTRY_URI", _registry_beside(tracking_uri)),
            server=environment.get("MODEL_SERVER", "http://127.0.0.1:8080"),
            feature_store=_known("FEATURE_STORE", environment.get("FEATURE_STORE", "local"), FEATURE_STORES),
            catalog=environment.get("DATABRICKS_CATALOG", "main"),
            online_store=environment.get("ONLINE_STORE", "lakehouse"),
            master=environment.get("SPARK_MASTER", "local[*]"),
            # Every Databricks runtime sets it, and nothing else does.
            in_workspace="DATABRICKS_RUNTIME_VERSION" in environment,
            serving=_serving(environment),
        )


def _serving(environment: Mapping[str, str]) -> ServerAccess:
    return ServerAccess(
        token=environment.get("MODEL_SERVER_TOKEN"),
        data_token=environment.get("MODEL_SERVER_DATA_TOKEN"),
        token_file=_below(environment.get("MODEL_SERVER_TOKEN_FILE")),
        data_token_file=_below(environment.get("MODEL_SERVER_DATA_TOKEN_FILE")),
        credentials=_below(environment.get("CREDENTIALS_DIRECTORY")),
        certificate=_below(environment.get("MODEL_SERVER_CERTIFICATE")),
        key=_below(environment.get("MODEL_SERVER_KEY")),
        authority=_below(environment.get("MODEL_SERVER_AUTHORITY")),
        default_endpoint=environment.get("MODEL_SERVER_DEFAULT_ENDPOINT"),
        unvouched=_known("MODEL_SERVER_UNVOUCHED", environment.get("MODEL_SERVER_UNVOUCHED", "refuse"), UNVOUCHED)
        == "allow",
    )


def _below(path: str | None) -> Path | None:
    return PROJECT / path if path else None


def _known(variable: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise SettingRefused.unknown(variable, value, known)
    return value


def _registry_beside(tracking_uri: str) -> str:
    """A workspace keeps models in Unity Catalog; every other server keeps them itself."""
    return "databricks-uc" if tracking_uri.startswith("databricks") else tracking_uri
