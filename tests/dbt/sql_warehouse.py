"""`python -m tests.dbt.sql_warehouse PROJECT`: dbt-databricks on a simulated SQL warehouse that records statements.

It runs `client_features` three times: on an empty schema, again, and on a table with another key. For each run, it
prints as JSON the success of dbt, its messages, and the changing statements that the warehouse received.
"""

import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import yaml
from dbt.cli.main import dbtRunner

from tests.dbt.unity_catalog import TABLE, Column, UnityCatalogTable

WORKSPACE = {"DATABRICKS_HOST": "workspace.invalid", "DATABRICKS_HTTP_PATH": "/sql/1.0/warehouses/simulated"}


class SqlWarehouse:
    """Schemas `staging` and `gold` of the catalogue `main`, for building `client_features`."""

    def __init__(self, columns: dict[str, str]) -> None:
        self.columns = columns
        self.table: UnityCatalogTable | None = None
        self.statements: list[str] = []

    def connect(self, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            cursor=lambda: Cursor(self), close=lambda: None, get_session_id_hex=lambda: "a session"
        )

    def respond(self, statement: str) -> tuple[list[tuple[str, str]], list[Any]]:
        """Columns with their types, and rows, of the result of a statement."""
        if statement.startswith(("create", "alter", "ALTER", "COMMENT")):
            self.statements.append(statement)
            self._change(statement)
        elif statement.startswith("select * from ("):  # the check of the contract against the query
            return list(self.columns.items()), []
        elif statement.startswith("SHOW SCHEMAS"):
            return [("databaseName", "string")], [("gold",), ("staging",)]
        elif "databricks_table_type" in statement:
            names = ["table_name", "table_type", "file_format", "table_owner", "databricks_table_type"]
            exists = self.table is not None and "'gold'" in statement
            rows = [("client_features", "table", "delta", "owner", "managed")] if exists else []
            return [(name, "string") for name in names], rows
        elif self.table is not None and "row_filters" not in statement:
            result = self.table.query(statement)
            return [(name, "string") for name in result.column_names], [tuple(row) for row in result.rows]
        return [("result", "string")], []

    def _change(self, statement: str) -> None:
        if statement.startswith(f"create or replace table {TABLE}"):
            self.table = UnityCatalogTable({name: Column() for name in self.columns})
            return
        assert self.table is not None, f"no table yet: {statement}"
        # Form of the NOT NULL that dbt-databricks writes for a contract.
        by_contract = re.fullmatch(r"alter table \S+ change column `(\w+)` set not null", statement)
        if by_contract:
            self.table.columns[by_contract[1]].nullable = False
        else:
            self.table.execute(statement)


class Cursor:
    """Part of the SQL connector's cursor that dbt-databricks uses."""

    query_id = "a query"

    def __init__(self, warehouse: SqlWarehouse) -> None:
        self._warehouse = warehouse
        self.connection = SimpleNamespace(get_session_id_hex=lambda: "a session")
        self.description: list[tuple[str, str]] = []
        self._rows: list[Any] = []

    def execute(self, statement: str, *_: Any) -> "Cursor":
        bare = re.sub(r"/\*.*?\*/", "", statement, flags=re.DOTALL).strip()
        self.description, self._rows = self._warehouse.respond(bare)
        return self

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(iter(self._rows), None)

    def close(self) -> None:
        pass


def main(project: Path) -> None:
    """Run dbt three times and print the results."""
    models = yaml.safe_load((project / "dbt_project/models/gold/client_features.yml").read_text(encoding="utf-8"))
    columns = {column["name"]: column["data_type"] for column in models["models"][0]["columns"]}
    warehouse = SqlWarehouse(columns)
    vendor = "dbt.adapters.databricks"
    with (
        patch(f"{vendor}.handle.dbsql.connect", warehouse.connect),
        patch(f"{vendor}.handle.SqlUtils.prepare_connection_arguments", return_value={}),
        patch(f"{vendor}.connections.check_spog_preconditions"),
        patch(f"{vendor}.credentials.DatabricksCredentials.authenticate"),
        patch.dict(os.environ, WORKSPACE),
    ):
        runs = [run(project, warehouse, key) for key in (None, None, "`client_id`")]
    sys.stdout.write("\n" + json.dumps(runs))


def run(project: Path, warehouse: SqlWarehouse, key: str | None) -> dict[str, Any]:
    """Run `dbt run` once; a `key` first replaces the key of the existing table."""
    warehouse.statements.clear()
    if key and warehouse.table:
        warehouse.table.key = key
    command = ["run", "--select", "client_features", "--target", "databricks", "--project-dir", str(project)]
    done: Any = dbtRunner().invoke([*command, "--profiles-dir", str(project), "--quiet"])
    messages = [result.message for result in done.result or []]
    return {
        "success": done.success,
        "message": messages or [str(done.exception)],
        "statements": list(warehouse.statements),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
