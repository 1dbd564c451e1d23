"""Tables as the catalog describes them.

The key of a table and its NOT NULL columns are kept in the table's own Delta log: a statement that replaces the table
drops both, as on Databricks, and one that fails drops neither. NOT NULL is enforced by a CHECK of Delta.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.sql_warehouse.statements import Refused, literal, name, quoted

CATALOG = "spark_catalog"
KEY, NOT_NULL = "unity.primary_key", "unity_not_null_"
NAME = r"(`(?:[^`]|``)+`|\w+)"


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    comment: str | None


@dataclass(frozen=True)
class Table:
    """Table or view as Spark describes it."""

    schema: str
    name: str
    columns: list[Column]
    details: dict[str, str]
    properties: dict[str, str]

    @property
    def full(self) -> str:
        return ".".join(map(quoted, (CATALOG, self.schema, self.name)))

    @property
    def is_view(self) -> bool:
        return "VIEW" in self.details.get("Type", "")

    @property
    def key(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(self.properties.get(KEY, "null"))
        return found

    def column(self, column: str) -> Column:
        """Column by its name in any case.

        Raises:
            Refused: there is none.
        """
        for each in self.columns:
            if each.name.lower() == column.lower():
                return each
        raise Refused("UNRESOLVED_COLUMN", f"{self.full} has no column {quoted(column)}")

    @property
    def checks(self) -> dict[str, set[str]]:
        """NOT NULL columns, in lower case, by the CHECK that enforces them."""
        prefix = "delta.constraints."
        return {
            key.removeprefix(prefix): {name(each) for each in re.findall(rf"{NAME} IS NOT NULL", expression)}
            for key, expression in self.properties.items()
            if key.startswith(prefix + NOT_NULL)
        }

    def is_nullable(self, column: str) -> bool:
        return not any(column.lower() in columns for columns in self.checks.values())

    @property
    def shown_properties(self) -> dict[str, str]:
        """Properties without those in which the stand-in keeps keys and NOT NULL."""
        hidden = (KEY, f"delta.constraints.{NOT_NULL}")
        return {key: value for key, value in self.properties.items() if not key.startswith(hidden)}

    def created(self) -> str:
        """The statement that SHOW CREATE TABLE shows."""
        lines = [
            f"{quoted(column.name)} {column.type}"
            + ("" if self.is_nullable(column.name) else " NOT NULL")
            + (f" COMMENT {literal(column.comment)}" if column.comment else "")
            for column in self.columns
        ]
        if key := self.key:
            columns = [quoted(each) + " TIMESERIES" * (each == key["timeseries"]) for each in key["columns"]]
            lines.append(f"CONSTRAINT {quoted(key['name'])} PRIMARY KEY ({', '.join(columns)})")
        inside = ",\n  ".join(lines)
        return f"CREATE TABLE {CATALOG}.{self.schema}.{self.name} (\n  {inside})\nUSING delta"

    def as_json(self) -> str:
        """Description of the table as JSON; Spark has DESCRIBE AS JSON for v1 tables only."""
        columns = [
            {"name": each.name, "type": _json_type(each.type), "nullable": self.is_nullable(each.name)}
            | ({"comment": each.comment} if each.comment else {})
            for each in self.columns
        ]
        described = {"table_name": self.name, "catalog_name": CATALOG, "namespace": [self.schema], "columns": columns}
        return json.dumps(described | {"type": "VIEW" if self.is_view else "MANAGED"})


def table_info(table: Table) -> dict[str, Any]:
    """Response of Unity Catalog's REST API about a table."""
    key = table.key
    times = [key["timeseries"]] if key and key["timeseries"] else []
    primary = key and {"name": key["name"], "child_columns": key["columns"], "timeseries_columns": times}
    return {
        "full_name": f"{CATALOG}.{table.schema}.{table.name}",
        "columns": [{"name": each.name, "nullable": table.is_nullable(each.name)} for each in table.columns],
        "properties": table.shown_properties,
        "table_constraints": [{"primary_key_constraint": primary}] if primary else [],
    }


def _json_type(written: str) -> dict[str, Any]:
    if match := re.fullmatch(r"decimal\((\d+),(\d+)\)", written):
        return {"name": "decimal", "precision": int(match[1]), "scale": int(match[2])}
    return {"name": {"timestamp": "timestamp_ltz"}.get(written, written)}
