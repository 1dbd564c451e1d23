"""`doctor` as a person runs it, and its requests to a workspace and a Spark server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from pyspark.errors import AnalysisException

from deployment.commands.doctor import engine, workspace
from deployment.commands.doctor.command import CHECKS
from deployment.commands.doctor.finding import Finding, Severity
from deployment.commands.options import TARGET
from lakehouse.engine import remote
from lakehouse.settings import PROJECT, Settings
from tests.contract.people import mlflow_restored
from tests.stand_ins.unity_catalog_registry import serving
from training.tracking import tracking

PATH = "/sql/1.0/warehouses/abc123"


def run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deployment.run", "doctor", *arguments]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """Variables of a checkout where nothing was built or trained, and a machine without a workspace."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABRICKS_", "MLFLOW_"))}
    return kept | {
        "LAKEHOUSE_WAREHOUSE": str(tmp_path / "warehouse"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "MODEL_SERVER": "http://127.0.0.1:0",
        "DATABRICKS_CONFIG_FILE": str(tmp_path / "none"),
        "NO_COLOR": "1",
    }


def test_a_fresh_checkout_has_warnings_and_no_error(empty: dict[str, str]) -> None:
    result = run("--json", environment=empty)
    findings = json.loads(result.stdout)
    assert [each for each in findings if each["severity"] == "error"] == [], result.stderr
    assert result.returncode == 0
    unbuilt = [each for each in findings if each["area"] == "tables" and each["severity"] == "warning"]
    assert unbuilt[0]["message"] == "The feature table gold.client_features is not built."
    assert unbuilt[0]["remedy"] == "dbt build --select +client_features"


def test_a_workspace_without_host_fails_and_lists_what_it_cannot_check(empty: dict[str, str]) -> None:
    del empty["MLFLOW_TRACKING_URI"]
    result = run("--target", "databricks", environment=empty)
    assert result.returncode == 1, result.stderr
    assert "error      DATABRICKS_HTTP_PATH is not set, so that dbt has no SQL warehouse." in result.stdout
    assert "unchecked  Not checked without the network: the SQL warehouse." in result.stdout
    assert "ok         Models are registered as main.models.churn" in result.stdout
    assert "Traceback" not in result.stderr + result.stdout


def test_every_target_of_the_option_has_checks() -> None:
    def command() -> None: ...

    (option,) = TARGET(command).__click_params__  # type: ignore[attr-defined]
    assert set(option.type.choices) == set(CHECKS)


def asked(host: str, catalog: str, http_path: str) -> list[Finding]:
    settings = Settings.from_environment({"MLFLOW_TRACKING_URI": "databricks", "DATABRICKS_CATALOG": catalog})
    return workspace.check_workspace(WorkspaceClient(host=host, token="x"), settings, http_path)  # noqa: S106


def test_a_workspace_with_everything_is_ok(host: str) -> None:
    assert [each.message for each in asked(host, "prod", PATH)] == [
        f"anna@example.com is signed in at {host}.",
        "The SQL warehouse Starter (abc123) is STOPPED.",
        "The catalog prod and the schema prod.models exist.",
    ]


def test_a_missing_warehouse_and_a_wrong_catalog_are_named_with_the_next_command(host: str) -> None:
    _, no_warehouse, no_catalog = asked(host, "produ", "/sql/1.0/warehouses/other")
    assert no_warehouse.message == f"{host} has no SQL warehouse other."
    assert no_warehouse.remedy == "databricks warehouses list, then export DATABRICKS_HTTP_PATH=..."
    assert no_catalog.message == f"{host} has no catalog 'produ'."
    assert no_catalog.remedy == "databricks catalogs list, then export DATABRICKS_CATALOG=..."


def test_a_registry_in_unity_catalog_is_asked_only_with_online(empty: dict[str, str]) -> None:
    with serving("prod.models") as registry:
        environment = empty | {
            "DATABRICKS_HOST": registry.url, "DATABRICKS_TOKEN": "a-token", "DATABRICKS_CATALOG": "prod",
            "MLFLOW_REGISTRY_URI": "databricks-uc",
        }  # fmt: skip
        with mlflow_restored(), pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            with tracking(Settings.from_environment()) as client:
                client.create_registered_model("churn")
                client.set_registered_model_tag("churn", "ledger_pending", "{}")
        offline = json.loads(run("--json", environment=environment).stdout)
        online = json.loads(run("--json", "--online", environment=environment).stdout)
    assert "Not checked without the network" in str(offline)
    assert "ledger_pending" not in str(offline)
    (pending,) = [each for each in online if "interrupted before it recorded" in each["message"]]
    assert pending["remedy"] == "python -m deployment.run verify --use-case churn --repair"


class Server:
    """A session at a Spark Connect server."""

    def __init__(self, version: str, error: str) -> None:
        self.version, self.error, self.read, self.columns = version, error, self, self

    def format(self, _: str) -> "Server":
        return self

    def load(self, _: str) -> "Server":
        raise AnalysisException(self.error)


@pytest.mark.parametrize(
    ("version", "error", "message"),
    [
        ("4.2.0", "[DELTA_PATH_DOES_NOT_EXIST] /no-such-table doesn't exist", None),
        ("4.1.1", "", "the Spark Connect server at sc://spark is Spark 4.1.1, and the client is PySpark 4.2.0"),
        (
            "4.2.0",
            "[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta. SQLSTATE: 42K02\n\nJVM stacktrace:",
            "the Spark Connect server at sc://spark has no Delta Lake",
        ),
    ],
)
def test_a_server_of_another_version_or_without_delta_is_refused(
    version: str, error: str, message: str | None
) -> None:
    server: Any = Server(version, error)
    if message is None:
        remote.require_supported(server, "sc://spark")
        return
    with pytest.raises(remote.EngineRefused) as refused:
        remote.require_supported(server, "sc://spark")
    assert refused.value.failed == message
    assert "SPARK_REMOTE" in (refused.value.hint or "")


def test_a_server_that_does_not_respond_is_an_error_with_the_next_step() -> None:
    (found,) = engine.check_engine("sc://127.0.0.1:1")
    assert (found.severity, found.message) == (
        Severity.ERROR,
        "No Spark Connect server responds at sc://127.0.0.1:1.",
    )
