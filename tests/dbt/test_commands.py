"""dbt commands as typed, without flags or variables, and their error messages."""

import gzip
import shutil
from pathlib import Path

import pytest

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


def test_the_databricks_target_without_a_sql_warehouse_ends_before_it_connects(tmp_path: Path) -> None:
    unbuilt = Checkout.below(tmp_path)
    workspace = Checkout(unbuilt.root, unbuilt.variables | {"DATABRICKS_HOST": "127.0.0.1:1"})
    output = workspace.run("dbt", "build", "--target", "databricks", "--select", "client_features", exits=2)
    assert "DATABRICKS_HTTP_PATH is not set, so that dbt has no SQL warehouse." in output
    assert "export DATABRICKS_HTTP_PATH=/sql/1.0/warehouses/ID, with an ID of: databricks warehouses list" in output
    assert "127.0.0.1" not in output


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
