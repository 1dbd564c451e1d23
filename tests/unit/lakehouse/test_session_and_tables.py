"""Settings, the warehouse folder, and errors."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.errors import LakehouseError
from lakehouse.settings import PROJECT, Settings
from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse, WarehouseUnwritable


def test_default_settings() -> None:
    settings = Settings.from_environment({})
    assert settings.warehouse == PROJECT / "warehouse"
    assert settings.tracking_uri == settings.registry_uri == f"sqlite:///{PROJECT}/mlflow.db"
    assert (settings.remote, settings.server) == (None, "http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("given", "expected"), [("elsewhere", PROJECT / "elsewhere"), ("/mnt/tables", Path("/mnt/tables"))]
)
def test_a_relative_warehouse_is_below_the_project(given: str, expected: Path) -> None:
    assert Settings.from_environment({"LAKEHOUSE_WAREHOUSE": given}).warehouse == expected


@pytest.mark.parametrize(
    ("tracking", "registry"), [("databricks", "databricks-uc"), ("http://mlflow:5000", "http://mlflow:5000")]
)
def test_a_workspace_keeps_models_in_unity_catalog(tracking: str, registry: str) -> None:
    assert Settings.from_environment({"MLFLOW_TRACKING_URI": tracking}).registry_uri == registry


def test_the_folder_is_the_catalogue(tmp_path: Path) -> None:
    for name in ("gold/b", "gold/a", "staging/c"):
        write_deltalake(tmp_path / name, pa.table({"x": [1]}))
    (tmp_path / "gold" / "no_table").mkdir()
    assert [str(name) for name in Warehouse(tmp_path).tables()] == ["gold.a", "gold.b", "staging.c"]


def test_a_table_opens_at_a_version(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "gold/a", pa.table({"x": [1]}))
    write_deltalake(tmp_path / "gold/a", pa.table({"x": [2]}), mode="overwrite")
    warehouse, name = Warehouse(tmp_path), TableName("gold", "a")
    assert warehouse.open(name).version() == 1
    assert warehouse.open(name, 0).to_pyarrow_table().to_pydict() == {"x": [1]}


def test_missing_table_error_suggests_name_and_command(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "gold/client_features", pa.table({"x": [1]}))
    with pytest.raises(TableNotFound) as refused:
        Warehouse(tmp_path).open(TableName.parse("gold.client_feature"))
    assert "Did you mean 'gold.client_features'?" in str(refused.value)
    assert "dbt build --select +client_feature" in str(refused.value)


@pytest.mark.parametrize("text", ["client_features", "a.b.c", ".x", "x.", ""])
def test_a_table_name_is_schema_and_table(text: str) -> None:
    with pytest.raises(LakehouseError, match="is not a table name"):
        TableName.parse(text)


def test_an_unwritable_warehouse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseUnwritable, match="cannot be written to"):
        Warehouse(tmp_path / "file").require_writable()


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WarehouseUnwritable, match="No space left on device"):
        Warehouse(tmp_path).require_writable()
    assert list(tmp_path.iterdir()) == []


CHILD_PROCESSES = """
import os, subprocess
from lakehouse.session import open_session
open_session()
# Like the gateway of PySpark: a function runs in the child before exec.
started = [subprocess.Popen(["true"], preexec_fn=os.getpid) for _ in range(200)]
assert {process.wait() for process in started} == {0}
"""


def test_child_processes_start_during_an_open_session() -> None:
    """Needs a process without earlier gRPC calls: gRPC reads its fork setting at the first one."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD_PROCESSES], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
