"""Simulated Unity Catalog table that accepts only the DDL of this project and serves the queries of dbt."""

import re
from dataclasses import dataclass, field
from typing import Any

import agate

NAME = r"`((?:[^`]|``)+)`"
TEXT = r"'((?:[^'\\]|\\.)*)'"
TABLE = "`main`.`gold`.`client_features`"


@dataclass
class Column:
    nullable: bool = True
    comment: str | None = None


@dataclass
class UnityCatalogTable:
    columns: dict[str, Column]
    key: str | None = None
    comment: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)

    def execute(self, ddl: str) -> None:
        """Apply a statement; a statement of any other form fails."""
        if match := re.fullmatch(rf"ALTER TABLE {TABLE} ALTER COLUMN {NAME} SET NOT NULL", ddl):
            self.columns[_name(match[1])].nullable = False
        elif match := re.fullmatch(rf"ALTER TABLE {TABLE} ALTER COLUMN {NAME} COMMENT {TEXT}", ddl):
            self.columns[_name(match[1])].comment = _text(match[2])
        elif match := re.fullmatch(
            rf"ALTER TABLE {TABLE} ADD CONSTRAINT `client_features_pk` PRIMARY KEY \((.+)\)", ddl
        ):
            assert self.key is None, "the table already has a primary key"
            self.key = match[1]
            assert not any(self.columns[name].nullable for name in self.key_columns()), "a key column may be NULL"
        elif match := re.fullmatch(rf"ALTER TABLE {TABLE} SET (TAGS|TBLPROPERTIES) \((.+)\)", ddl, re.DOTALL):
            pairs = {_text(name): _text(value) for name, value in re.findall(f"{TEXT} = {TEXT}", match[2], re.DOTALL)}
            (self.tags if match[1] == "TAGS" else self.properties).update(pairs)
        elif match := re.fullmatch(rf"COMMENT ON TABLE {TABLE} IS (?:NULL|{TEXT})", ddl, re.DOTALL):
            self.comment = None if match[1] is None else _text(match[1])
        else:
            raise AssertionError(f"unexpected statement: {ddl}")

    def query(self, sql: str) -> agate.Table:
        """Result of a query."""
        if sql == f"SHOW TBLPROPERTIES {TABLE}":
            return _rows(["key", "value"], self.properties.items())
        if sql == f"SHOW CREATE TABLE {TABLE}":
            key = f",\n  CONSTRAINT `client_features_pk` PRIMARY KEY ({self.key}))" if self.key else ")"
            columns = ",\n  ".join(f"{name} INT COMMENT '{column.comment}'" for name, column in self.columns.items())
            return _rows(
                ["createtab_stmt"], [[f"CREATE TABLE main.gold.client_features (\n  {columns}{key}\nUSING delta"]]
            )
        match = re.match(r"SELECT ([\w, ]+) FROM `main`\.information_schema\.(\w+) WHERE (\w+) = 'gold' AND table_name = 'client_features'", sql)  # fmt: skip  # noqa: E501
        assert match, f"unexpected query: {sql}"
        names, view, schema = match.groups()
        assert schema == ("schema_name" if view == "table_tags" else "table_schema")
        views: dict[str, list[Any]] = {
            "columns": [[name, "YES" if c.nullable else "NO", c.comment] for name, c in self.columns.items()],
            "tables": [[self.comment]],
            "table_tags": [[name, value] for name, value in self.tags.items()],
            "key_column_usage": [[name] for name in self.key_columns()],
        }
        return _rows(names.split(", "), views[view])

    def key_columns(self) -> list[str]:
        return [_name(name) for name in re.findall(NAME, self.key or "")]


def _rows(names: list[str], rows: Any) -> agate.Table:
    return agate.Table([list(row) for row in rows], names, [agate.Text(null_values=()) for _ in names])


def _name(quoted: str) -> str:
    return quoted.replace("``", "`")


def _text(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal, flags=re.DOTALL)
