"""Settings: paths and addresses, read once from the environment."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.errors import LakehouseError, nearest
from lakehouse.home import HOMES, LOCAL, Home, keeps_names_in_catalogs, tracking_home

PACKAGES = Path(__file__).resolve().parent.parent  # the checkout, or the site-packages of an installed wheel
# An installed wheel works on the project in whose folder its commands are started.
PROJECT = PACKAGES if (PACKAGES / "dbt_project.yml").is_file() else Path.cwd()
UNVERIFIED = ("refuse", "allow")
SWITCHES = ("off", "on")


class SettingRefused(LakehouseError):
    """An environment variable has an unknown value."""

    @classmethod
    def unknown(cls, variable: str, value: str, known: Sequence[str]) -> "SettingRefused":
        return cls(
            f"{variable} is '{value}', which is not a valid value. {nearest(value, list(known))}",
            hint=f"Set {variable} to one of {', '.join(known)}, or unset it for {known[0]}.",
        )


@dataclass(frozen=True)
class ServerAccess:
    """Access to the model server, and the versions it may load; see docs/serving.md.

    Attributes:
        token, data_token: tokens, in place of those in files. The first allows every request, the second only
            predictions.
        token_file, data_token_file: token files, in place of those in the server's state folder.
        credentials: folder in which systemd passes credentials to this service alone.
        certificate, key: PEM files; with them the server uses TLS.
        authority: PEM file of the authority that signed the certificate, unless it is self-signed.
        callers_file: callers with tokens of their own, in place of the file in the server's state folder.
        access_log: True to write one line for each request.
        trace_exporter: exporter of traces, as OpenTelemetry names it; None: no traces.
        default_endpoint: endpoint behind `/invocations`, for clients of `mlflow models serve`.
        allow_unverified: True to load versions for whose files the registry has no digest.
    """

    token: str | None = field(default=None, repr=False)
    data_token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    data_token_file: Path | None = None
    credentials: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    callers_file: Path | None = None
    access_log: bool = False
    trace_exporter: str | None = None
    default_endpoint: str | None = None
    allow_unverified: bool = False


@dataclass(frozen=True)
class Settings:
    """Paths and addresses of one checkout; one environment variable changes each.

    Attributes:
        name_prefix: precedes the names of schemas, models, experiments and endpoints in a workspace, so that several
            deployments share a catalog; such as `dev_anna_`.
        experiment: name of the MLflow experiment; None for one that is named as the use case.
        monitoring_webhook: address that gets the alerts of `monitor`; it may hold a secret.
        any_port: True if `serve` may take the next free port: MODEL_SERVER does not ask for an address.
    """

    project: Path
    warehouse: Path
    remote: str | None
    tracking_uri: str
    registry_uri: str
    server: str
    home: Home = LOCAL
    catalog: str = "main"
    name_prefix: str = ""
    experiment: str | None = None
    online_store: str = "lakehouse"
    in_workspace: bool = False
    master: str = "local[*]"
    any_port: bool = False
    serving: ServerAccess = field(default_factory=ServerAccess)
    monitoring_webhook: str | None = field(default=None, repr=False)

    @property
    def artifacts(self) -> Path:
        """Folder of MLflow's files when its store is a database of this project."""
        return self.project / "mlartifacts"

    @property
    def reports(self) -> Path:
        return self.project / "reports"

    @property
    def journals(self) -> Path:
        """Folder of the trials that MLflow does not have yet."""
        return self.project / ".trials"

    def registered_model(self, use_case: str) -> str:
        """Name of the use case's model in the registry.

        >>> uc = Settings(Path(), Path(), None, "databricks", "databricks-uc", "", catalog="prod")
        >>> uc.registered_model("churn")
        'prod.models.churn'
        """
        if not keeps_names_in_catalogs(self.registry_uri):
            return use_case
        return f"{self.catalog}.{self.name_prefix}models.{self.name_prefix}{use_case}"

    def use_case_of(self, model: str) -> str | None:
        """Use case of a model in the registry; None if the model belongs to another deployment.

        >>> uc = Settings(Path(), Path(), None, "databricks", "databricks-uc", "", catalog="prod")
        >>> uc.use_case_of("prod.models.churn"), uc.use_case_of("dev.models.churn")
        ('churn', None)
        """
        use_case = model.rpartition(".")[2].removeprefix(self.name_prefix)
        return use_case if self.registered_model(use_case) == model else None

    def endpoint(self, declared: str) -> str:
        """Name of an endpoint; the endpoints of a workspace belong to several deployments.

        >>> dev = Settings(Path(), Path(), None, "", "", "", home=HOMES["databricks"], name_prefix="dev_anna_")
        >>> dev.endpoint("term-deposit")
        'dev-anna-term-deposit'
        """
        return self.name_prefix.replace("_", "-") + declared if self.home.runs_model_server else declared

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read LAKEHOUSE_*, SPARK_REMOTE, SPARK_MASTER, FEATURE_STORE, MODEL_SERVER*, and the vendors' own.

        Relative paths start at the project, in every working directory.

        Raises:
            SettingRefused: FEATURE_STORE, MODEL_SERVER_UNVOUCHED or MODEL_SERVER_ACCESS_LOG has an unknown value.
        """
        tracking_uri = environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{PROJECT / 'mlflow.db'}")
        return cls(
            project=PROJECT,
            warehouse=PROJECT / environment.get("LAKEHOUSE_WAREHOUSE", "warehouse"),
            remote=environment.get("SPARK_REMOTE") or None,
            tracking_uri=tracking_uri,
            registry_uri=environment.get(
                "MLFLOW_REGISTRY_URI", tracking_home(tracking_uri).registry_uri or tracking_uri
            ),
            server=environment.get("MODEL_SERVER", "http://127.0.0.1:8080"),
            any_port="MODEL_SERVER" not in environment,
            home=HOMES[_known("FEATURE_STORE", environment.get("FEATURE_STORE", LOCAL.name), list(HOMES))],
            catalog=environment.get("DATABRICKS_CATALOG", "main"),
            name_prefix=environment.get("NAME_PREFIX", ""),
            experiment=environment.get("MLFLOW_EXPERIMENT_NAME"),
            online_store=environment.get("ONLINE_STORE", "lakehouse"),
            master=environment.get("SPARK_MASTER", "local[*]"),
            # Set by every Databricks runtime and by nothing else.
            in_workspace="DATABRICKS_RUNTIME_VERSION" in environment,
            serving=_serving(environment),
            monitoring_webhook=environment.get("MONITORING_WEBHOOK"),
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
        callers_file=_below(environment.get("MODEL_SERVER_CALLERS_FILE")),
        access_log=_is_on("MODEL_SERVER_ACCESS_LOG", environment.get("MODEL_SERVER_ACCESS_LOG", "off")),
        trace_exporter=_trace_exporter(environment),
        default_endpoint=environment.get("MODEL_SERVER_DEFAULT_ENDPOINT"),
        allow_unverified=_known(
            "MODEL_SERVER_UNVOUCHED", environment.get("MODEL_SERVER_UNVOUCHED", "refuse"), UNVERIFIED
        )
        == "allow",
    )


def _trace_exporter(environment: Mapping[str, str]) -> str | None:
    """The exporter of traces. As everywhere with OpenTelemetry, an address alone turns them on."""
    address = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    chosen = environment.get("OTEL_TRACES_EXPORTER") or ("otlp" if address else "none")
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return None if chosen == "none" or disabled else chosen


def _below(path: str | None) -> Path | None:
    return PROJECT / path if path else None


def _is_on(variable: str, value: str) -> bool:
    return _known(variable, value, SWITCHES) == "on"


def _known(variable: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise SettingRefused.unknown(variable, value, known)
    return value
