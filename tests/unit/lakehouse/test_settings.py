"""Settings: each has a default and one environment variable."""

from dataclasses import FrozenInstanceError

import pytest

from lakehouse.settings import PROJECT, Settings

WORKSPACE = {"MLFLOW_TRACKING_URI": "databricks"}


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("SPARK_REMOTE", "sc://spark:15002", "remote"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking_uri"),
        ("MLFLOW_REGISTRY_URI", "http://registry:5000", "registry_uri"),
        ("MODEL_SERVER", "http://server:9000", "server"),
    ],
)
def test_a_variable_changes_only_its_setting(variable: str, value: str, setting: str) -> None:
    default, moved = Settings.from_environment({}), Settings.from_environment({variable: value})
    assert getattr(default, setting) != value
    assert getattr(moved, setting) == value
    assert moved.warehouse == default.warehouse
    assert moved.project == PROJECT


@pytest.mark.parametrize(
    ("environment", "registry"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:////data/mlflow.db"}, "sqlite:////data/mlflow.db"),
        (WORKSPACE, "databricks-uc"),
        ({"MLFLOW_TRACKING_URI": "databricks://profile"}, "databricks-uc"),
        (WORKSPACE | {"MLFLOW_REGISTRY_URI": "databricks"}, "databricks"),
    ],
)
def test_the_registry_follows_the_tracking_server_unless_it_is_set(
    environment: dict[str, str], registry: str
) -> None:
    assert Settings.from_environment(environment).registry_uri == registry


@pytest.mark.parametrize(("given", "expected"), [("../tables", PROJECT / ".." / "tables"), (".", PROJECT)])
def test_a_relative_warehouse_does_not_depend_on_the_working_directory(
    given: str, expected: object, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert Settings.from_environment({"LAKEHOUSE_WAREHOUSE": given}).warehouse == expected


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVER", "http://server:9000")
    assert Settings.from_environment().server == "http://server:9000"


def test_artifacts_and_reports_stay_in_the_project() -> None:
    settings = Settings.from_environment({"LAKEHOUSE_WAREHOUSE": "/mnt/tables"})
    assert (settings.artifacts, settings.reports) == (PROJECT / "mlartifacts", PROJECT / "reports")


def test_settings_are_frozen() -> None:
    settings = Settings.from_environment({})
    with pytest.raises(FrozenInstanceError):
        settings.server = "http://elsewhere"  # type: ignore[misc]
