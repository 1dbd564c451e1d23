"""`dbt run` of the models whose SQL DuckDB takes too: ours on Sail to Delta, and dbt-duckdb to its own file."""

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
import yaml

from benchmarks.harness.measure import Usage, measure, tool
from benchmarks.harness.project import LANDING, copied_project
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.tables.scan import FileScan, open_duckdb, quoted
from lakehouse.tables.warehouse import TableName, Warehouse

PACKAGES = ("dbt-core==1.11.16", "dbt-duckdb==1.11.1", "duckdb==2.0.1")
RAW = ("raw_customers", "raw_orders", "raw_contacts")
MODELS = ("stg_customers", "stg_orders", "stg_contacts", "customer_quarters", "churn_labels")
GIVEN = ("stg_kommunen", "kommune_index")  # small tables, which the peer reads from ours
UNTIL = "2024-12-25"
ADD_MONTHS = "create or replace macro add_months(time, months) as time + to_months(months)"


class TablesDiffer(LakehouseError):
    """The peer built other rows, so that its figures say nothing."""

    @classmethod
    def of(cls, table: str, ours: int, peers: int) -> "TablesDiffer":
        return cls(
            f"{table} has {ours:,} rows that dbt-duckdb did not build, and dbt-duckdb built {peers:,} others",
            hint="Compare the SQL of this model in both dialects.",
        )


@click.command()
@click.option("--customers", type=click.IntRange(1_000), default=100_000, show_default=True)
def main(customers: int) -> None:
    """Build the tables from nothing, without tests, each side in its own process; then compare every row."""
    with tempfile.TemporaryDirectory() as folder:
        project, peer = Path(folder) / "ours", Path(folder) / "peer"
        environment = copied_project(project)
        options = ("--output", str(LANDING), "--until", UNTIL, "--customers", str(customers))
        measure((sys.executable, "-m", "simulation.run", *options), project, environment)

        def ours(*models: str) -> Usage:
            return measure((tool("dbt"), "--quiet", "run", "--select", *models), project, environment)

        ours("raw_kommunen", *GIVEN)
        usages = {"ours": ours(*RAW, *MODELS)}
        _write_peer(project, peer)
        packages = [argument for package in PACKAGES for argument in ("--with", package)]
        environment_of_peer = [tool("uv"), "run", "--quiet", "--no-project", "--python", "3.11", *packages]
        measure([*environment_of_peer, "dbt", "--version"], peer, environment)  # installs it
        command = ("dbt", "--quiet", "run", "--profiles-dir", str(peer))
        usages["dbt-duckdb"] = measure([*environment_of_peer, *command], peer, environment)
        rows = _require_equal(Warehouse(project / "warehouse"), peer / "peer.duckdb")
    console.stage(f"{customers:,} customers; {len(RAW) + len(MODELS)} tables, {rows:,} rows, equal on both sides")
    cells = [[side, *usage.cells] for side, usage in usages.items()]
    console.table(["", "time", "processor time", "peak memory"], cells)


def _write_peer(project: Path, peer: Path) -> None:
    """A dbt project with the SQL that our models were compiled to."""
    (peer / "models").mkdir(parents=True)
    outputs = {"type": "duckdb", "path": str(peer / "peer.duckdb"), "threads": 4, "settings": {"TimeZone": "UTC"}}
    files: Mapping[str, object] = {
        "dbt_project.yml": {
            "name": "peer",
            "profile": "peer",
            "models": {"+materialized": "table"},
            "on-run-start": [ADD_MONTHS],
        },
        "profiles.yml": {"peer": {"target": "t", "outputs": {"t": outputs}}},
    }
    for name, content in files.items():
        (peer / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    for name in RAW:
        landed = project / LANDING / name.removeprefix("raw_") / "*.parquet"
        (peer / "models" / f"{name}.sql").write_text(f"select * from read_parquet('{landed}')", encoding="utf-8")
    warehouse = Warehouse(project / "warehouse")
    for name in GIVEN:
        with open_duckdb() as connection:
            scan = _scan(warehouse, name, connection)
            query = scan.relation(connection, scan.schema.names)
        (peer / "models" / f"{name}.sql").write_text(query, encoding="utf-8")
    compiled = {file.stem: file for file in (project / "target" / "compiled").rglob("*.sql")}
    for name in MODELS:
        sql = re.sub(r"`\w+`\.`(\w+)`", r"{{ ref('\1') }}", compiled[name].read_text(encoding="utf-8"))
        (peer / "models" / f"{name}.sql").write_text(sql, encoding="utf-8")


def _require_equal(warehouse: Warehouse, database: Path) -> int:
    """Compare every table row by row; return the number of rows of all."""
    total = 0
    with open_duckdb() as connection:
        connection.execute(f"ATTACH '{database}' AS peer (READ_ONLY)")
        for name in (*RAW, *MODELS):
            scan = _scan(warehouse, name, connection)
            columns = [column for column in scan.schema.names if column != "delivery"]
            times = {f.name for f in scan.schema.fields if f.dataType.simpleString() == "timestamp"}
            # A time without zone is in UTC, as the connection is.
            read = ", ".join(
                f"{quoted(column)}{'::TIMESTAMP WITH TIME ZONE' if column in times else ''} AS {quoted(column)}"
                for column in columns
            )
            ours = f"SELECT {read} FROM ({scan.relation(connection, columns)})"
            theirs = f"SELECT {read} FROM peer.main.{quoted(name)}"
            counts = [
                connection.sql(f"SELECT count(*) FROM ({one} EXCEPT ALL {other})").fetchall()[0][0]
                for one, other in ((ours, theirs), (theirs, ours))
            ]
            if any(counts):
                raise TablesDiffer.of(name, *counts)
            total += scan.rows
    return total


def _scan(warehouse: Warehouse, name: str, connection: object) -> FileScan:
    (table,) = [table for table in warehouse.tables() if table.table == name]
    scan = FileScan.of(connection, warehouse.open(TableName(table.schema, table.table)))  # type: ignore[arg-type]
    if scan is None:
        raise LakehouseError(f"{table} is no plain Delta table", hint="Read it by the engine.")
    return scan


if __name__ == "__main__":
    console.run_command(main)
