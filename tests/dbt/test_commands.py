"""dbt commands as typed, without flags or variables, and their error messages."""

import gzip
import shutil
from pathlib import Path
from socket import socket

import pytest
import yaml
from databricks import sql
from databricks.sql.exc import RequestError

from lakehouse.settings import PROJECT
from lakehouse.tables.warehouse import TableName, Warehouse
from tests.checkout import Checkout

LANDING = Path("dbt_project/landing/bank_marketing/bankmarketing.csv.gz")


@pytest.fixture
def checkout(built: Checkout, tmp_path: Path) -> Checkout:
    """Copy of a built checkout that a test may damage."""
    shutil.copytree(built.root, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return Checkout(tmp_path / "project", built.variables)


def versions(checkout: Checkout) -> dict[str, int]:
    warehouse = Warehouse(checkout.root / "warehouse")
    return {str(name): warehouse.open(name).version() for name in warehouse.tables()}


def test_the_databricks_target_parses_offline(checkout: Checkout) -> None:
    checkout.run("dbt", "parse", "--target", "databricks", "--no-partial-parse")


@pytest.mark.parametrize("command", ["build", "test"])
def test_the_databricks_target_without_a_sql_warehouse_ends_before_it_connects(tmp_path: Path, command: str) -> None:
    unbuilt = Checkout.below(tmp_path)
    workspace = Checkout(unbuilt.root, unbuilt.variables | {"DATABRICKS_HOST": "127.0.0.1:1"})
    output = workspace.run("dbt", command, "--target", "databricks", "--select", "client_features", exits=2)
    assert "DATABRICKS_HTTP_PATH is not set, so that dbt has no SQL warehouse." in output
    assert "export DATABRICKS_HTTP_PATH=/sql/1.0/warehouses/ID, with an ID of: databricks warehouses list" in output
    assert "127.0.0.1" not in output


@pytest.mark.parametrize("listens", [False, True], ids=["refused", "silent"])
def test_the_connector_gives_up_on_a_sql_warehouse_without_an_answer(listens: bool) -> None:
    profile = (PROJECT / "profiles.yml").read_text(encoding="utf-8")
    bounds = yaml.safe_load(profile)["lakehouse"]["outputs"]["databricks"]["connection_parameters"]
    assert set(bounds) == {"_retry_stop_after_attempts_duration", "_socket_timeout"}
    with socket() as port:
        port.bind(("127.0.0.1", 0))
        if listens:
            port.listen()
        uri = f"http://127.0.0.1:{port.getsockname()[1]}/cliservice"
        with pytest.raises(RequestError):
            sql.connect(
                "127.0.0.1", "/cliservice", "a token", _connection_uri=uri, enable_telemetry=False,
                **dict.fromkeys(bounds, 1),
            )  # fmt: skip


def test_a_second_build_keeps_the_rows_and_the_history(checkout: Checkout) -> None:
    warehouse = Warehouse(checkout.root / "warehouse")
    name = TableName("gold", "client_features")
    before = warehouse.open(name)
    checkout.run("dbt", "build")
    after = warehouse.open(name)
    assert after.version() == before.version() + 1
    sort = [("client_id", "ascending")]
    assert after.to_pyarrow_table().sort_by(sort) == before.to_pyarrow_table().sort_by(sort)


def truncate_a_row(landing: Path) -> None:
    lines = gzip.decompress(landing.read_bytes()).decode().splitlines()
    lines[16] = ";".join(lines[16].split(";")[:15])
    landing.write_bytes(gzip.compress("\n".join(lines).encode()))


def change_the_delimiter(landing: Path) -> None:
    landing.write_bytes(gzip.compress(gzip.decompress(landing.read_bytes()).replace(b";", b",")))


@pytest.mark.parametrize(
    ("damage", "messages"),
    [
        pytest.param(Path.unlink, ["does not exist", "LAKEHOUSE_LANDING"], id="missing"),
        pytest.param(change_the_delimiter, ["does not split at ';'", "landing_file.delimiter"], id="delimiter"),
        pytest.param(truncate_a_row, ["line 17 has 15 of 17 fields"], id="too few fields"),
    ],
)
def test_a_bad_landing_file_is_reported_and_changes_no_table(
    checkout: Checkout, damage: object, messages: list[str]
) -> None:
    assert callable(damage)
    before = versions(checkout)
    damage(checkout.root / LANDING)
    output = checkout.run("dbt", "build", "--select", "raw_bank_marketing+", exits=1)
    for message in messages:
        assert message in output
    assert "Traceback" not in output
    assert versions(checkout) == before
