"""Unity Catalog's part of a SQL warehouse: keys, NOT NULL, tags, and the `information_schema`."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.sql_warehouse.information_schema import COLUMNS, inline, rows_of
from tests.stand_ins.sql_warehouse.statements import Refused, bare, literal, name, quoted, replaced_names, text
from tests.stand_ins.sql_warehouse.tables import CATALOG, KEY, NAME, NOT_NULL, Column, Table

MAX_TAGS, MAX_TAG_KEY, MAX_TAG_VALUE = 50, 255, 1000
_BAD_IN_TAG_KEYS = re.compile(r"[.,\-=/:\x00-\x1f]|^\s|\s$")
_TEXT = r"('(?:[^'\\]|\\.)*')"
_TABLE = rf"({NAME}(?:\s*\.\s*{NAME}){{0,2}})"
_FLAGS = re.IGNORECASE | re.DOTALL
_SET_NOT_NULL = re.compile(rf"ALTER TABLE {_TABLE} (?:ALTER|CHANGE) COLUMN {NAME} SET NOT NULL", _FLAGS)


@dataclass(frozen=True)
class NotNull:
    """NOT NULL of several columns, which become one CHECK: a CHECK reads the complete table."""

    table: Table
    with_null: set[str]
    columns: list[str]


class UnityCatalog:
    """Catalog of one session of Spark, with what Unity Catalog adds to it."""

    def __init__(self, run: Callable[[str], list[Any]]) -> None:
        self._run = run
        self._tags: dict[str, dict[str, str]] = {}
        self._waiting: dict[str, NotNull] = {}
        self._lock = threading.RLock()
        self._own: list[tuple[re.Pattern[str], Callable[..., None]]] = [
            (re.compile(pattern, _FLAGS), method)
            for pattern, method in (
                (rf"ALTER TABLE {_TABLE} (?:ALTER|CHANGE) COLUMN {NAME} DROP NOT NULL", self._drop_not_null),
                (rf"ALTER TABLE {_TABLE} ADD CONSTRAINT {NAME} PRIMARY KEY\s*\((.+)\)", self._add_key),
                (rf"ALTER TABLE {_TABLE} DROP CONSTRAINT (?:IF EXISTS )?{NAME}(?: CASCADE)?", self._drop_constraint),
                (rf"ALTER TABLE {_TABLE} SET TAGS\s*\((.+)\)", self._set_tags),
                (rf"ALTER TABLE {_TABLE} UNSET TAGS\s*\((.+)\)", self._unset_tags),
            )
        ]

    def changed(self, sql: str) -> bool:
        """Execute a statement that only Unity Catalog knows; false if it is another statement.

        Raises:
            Refused: Unity Catalog refuses the statement.
        """
        statement = re.sub(r"\s+", " ", bare(sql)) if "'" not in sql else bare(sql)
        if match := _SET_NOT_NULL.fullmatch(statement):
            self._set_not_null(match[1], match[4])
            return True
        self.enforce(sql)
        for pattern, method in self._own:
            if match := pattern.fullmatch(statement):
                # Groups 1 to 3 are the table and parts of its name.
                method(self.table(match[1]), *match.groups()[3:])
                return True
        return False

    def enforce(self, mentioning: str) -> None:
        """Enforce the NOT NULL of tables that a statement mentions, with one CHECK each."""
        with self._lock:
            for written, waiting in [*self._waiting.items()]:
                if waiting.table.name in mentioning.lower():
                    del self._waiting[written]
                    self._enforce(waiting.table, waiting.columns)

    def table(self, written: str) -> Table:
        """Table by its name as written in SQL.

        Raises:
            Refused: there is none.
        """
        self.enforce(written)
        parts = [name(part) for part in re.findall(NAME, written)]
        if len(parts) != 3 or parts[0].lower() != CATALOG:
            raise Refused("TABLE_OR_VIEW_NOT_FOUND", f"{written} is not a name of three levels in {CATALOG}")
        return self._described(parts[1].lower(), parts[2].lower())

    def dropped(self, written: str) -> None:
        """Forget the tags of a table that is dropped."""
        parts = [name(part).lower() for part in re.findall(NAME, written)]
        self._tags.pop(".".join(parts[-2:]), None)

    def answered(self, sql: str) -> str | None:
        """Query with the answer to a statement that shows what Unity Catalog adds; none for another one."""
        statement = bare(sql)
        if match := re.fullmatch(rf"SHOW TBLPROPERTIES {_TABLE}", statement, _FLAGS):
            properties = self.table(match[1]).shown_properties
            return f"SELECT * FROM {inline(['key', 'value'], [*properties.items()])}"
        match = re.fullmatch(rf"DESCRIBE TABLE EXTENDED {_TABLE} AS JSON", statement, _FLAGS)
        if match and match[3]:  # Spark itself describes a temporary view, which has a short name
            return f"SELECT {literal(self.table(match[1]).as_json())} AS json_metadata"
        if match := re.fullmatch(rf"SHOW CREATE TABLE {_TABLE}", statement, _FLAGS):
            return f"SELECT {literal(self.table(match[1]).created())} AS createtab_stmt"
        return None

    def with_information_schema(self, sql: str) -> str:
        """Statement with each view of the `information_schema` replaced by its rows.

        Raises:
            Refused: there is no such view or catalog.
        """

        def rows(parts: tuple[str, ...]) -> str | None:
            if len(parts) != 3 or parts[1].lower() != "information_schema":
                return None
            if parts[0].lower() not in (CATALOG, "system") or parts[2].lower() not in COLUMNS:
                raise Refused("TABLE_OR_VIEW_NOT_FOUND", f"{'.'.join(parts)} does not exist")
            return self._view(parts[2].lower(), sql)

        return replaced_names(sql, rows)

    # What only Unity Catalog knows.

    def _set_not_null(self, written: str, column: str) -> None:
        with self._lock:
            waiting = self._waiting.get(written)
            if waiting is None:
                table = self.table(written)
                counts = ", ".join(f"count_if({quoted(each.name)} IS NULL)" for each in table.columns)
                nulls = self._run(f"SELECT {counts} FROM {table.full}")[0]
                with_null = {each.name for each, count in zip(table.columns, nulls, strict=True) if count}
                waiting = self._waiting[written] = NotNull(table, with_null, [])
            found = waiting.table.column(name(column)).name
            if found in waiting.with_null:
                raise Refused("DELTA_NEW_NOT_NULL_VIOLATION", f"{quoted(found)} of {waiting.table.full} has NULL")
            waiting.columns.append(found)

    def _drop_not_null(self, table: Table, column: str) -> None:
        column = table.column(name(column)).name
        if table.key and column in table.key["columns"]:
            raise Refused("CANNOT_DROP_NOT_NULL", f"{quoted(column)} is in the primary key of {table.full}")
        for check, columns in table.checks.items():
            if column.lower() in columns:
                self._run(f"ALTER TABLE {table.full} DROP CONSTRAINT {quoted(check)}")
                self._enforce(table, sorted(columns - {column.lower()}))

    def _enforce(self, table: Table, columns: list[str]) -> None:
        added = [column.lower() for column in columns if table.is_nullable(column)]
        if added:
            check = quoted(f"{NOT_NULL}{added[0]}")
            held = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in added)
            self._run(f"ALTER TABLE {table.full} ADD CONSTRAINT {check} CHECK ({held})")

    def _add_key(self, table: Table, constraint: str, written: str) -> None:
        if table.is_view:
            raise Refused("EXPECT_TABLE_NOT_VIEW", f"{table.full} is a view")
        if table.key:
            raise Refused("DELTA_PRIMARY_KEY_EXISTS", f"{table.full} already has the primary key {table.key['name']}")
        columns, time = [], None
        for part in re.split(r"\s*,\s*", written.strip()):
            match = re.fullmatch(rf"{NAME}(\s+TIMESERIES)?", part, _FLAGS)
            if match is None:
                raise Refused("PARSE_SYNTAX_ERROR", f"syntax error at or near '{part}'")
            column = table.column(name(match[1]))
            if table.is_nullable(column.name):
                raise Refused("NULLABLE_KEY", f"the key column {quoted(column.name)} of {table.full} is nullable")
            if match[2]:
                if time or not column.type.startswith(("timestamp", "date")):
                    raise Refused("INVALID_TIMESERIES", f"{quoted(column.name)} cannot be the TIMESERIES column")
                time = column.name
            columns.append(column.name)
        if len(set(columns)) < len(columns):
            raise Refused("DUPLICATE_KEY_COLUMN", f"a column is twice in the key of {table.full}")
        key = json.dumps({"name": name(constraint), "columns": columns, "timeseries": time})
        self._run(f"ALTER TABLE {table.full} SET TBLPROPERTIES ({literal(KEY)} = {literal(key)})")

    def _drop_constraint(self, table: Table, constraint: str) -> None:
        if table.key and name(constraint) == table.key["name"]:
            self._run(f"ALTER TABLE {table.full} UNSET TBLPROPERTIES ({literal(KEY)})")
        else:
            self._run(f"ALTER TABLE {table.full} DROP CONSTRAINT IF EXISTS {constraint}")

    def _set_tags(self, table: Table, written: str) -> None:
        pairs = re.findall(rf"{_TEXT}\s*=\s*{_TEXT}", written, re.DOTALL)
        rest = re.sub(rf"{_TEXT}\s*=\s*{_TEXT}", "", written, flags=re.DOTALL)
        if not pairs or rest.replace(",", "").strip() or rest.count(",") != len(pairs) - 1:
            raise Refused("PARSE_SYNTAX_ERROR", f"syntax error in the tags ({written})")
        tags = {text(key): text(value) for key, value in pairs}
        for key, value in tags.items():
            if not key or len(key) > MAX_TAG_KEY or _BAD_IN_TAG_KEYS.search(key):
                raise Refused(
                    "INVALID_PARAMETER_VALUE", f"'{key}' is not a valid tag key: . , - = / : are not allowed"
                )
            if len(value) > MAX_TAG_VALUE:
                raise Refused("INVALID_PARAMETER_VALUE", f"the value of the tag '{key}' has {len(value)} characters")
        existing = self._tags_of(table)
        if len(existing | tags) > MAX_TAGS:
            raise Refused("INVALID_PARAMETER_VALUE", f"{table.full} would have more than {MAX_TAGS} tags")
        existing.update(tags)

    def _unset_tags(self, table: Table, written: str) -> None:
        for found in re.findall(_TEXT, written):
            self._tags_of(table).pop(text(found), None)

    # What it tells.

    def _view(self, view: str, sql: str) -> str:
        schemas = [row[0] for row in self._run(f"SHOW SCHEMAS IN {CATALOG}")]
        if view == "schemata":
            return inline(COLUMNS[view], [[CATALOG, schema, "owner", None] for schema in schemas])
        tables = [
            self._described(schema, row[1])
            for schema in _filtered(schemas, "(?:table_schema|schema_name)", sql)
            for row in self._run(f"SHOW TABLES IN {CATALOG}.{quoted(schema)}")
            if not row[2] and _filtered([row[1]], "table_name", sql)
        ]
        return inline(COLUMNS[view], [row for table in tables for row in rows_of(view, table, self._tags_of(table))])

    def _tags_of(self, table: Table) -> dict[str, str]:
        return self._tags.setdefault(f"{table.schema}.{table.name}", {})

    def _described(self, schema: str, table: str) -> Table:
        full = ".".join(map(quoted, (CATALOG, schema, table)))
        rows = self._run(f"DESCRIBE TABLE EXTENDED {full}")
        end = next(number for number, row in enumerate(rows) if row[0] == "" or row[0].startswith("#"))
        columns = [Column(row[0], row[1], row[2] or None) for row in rows[:end]]
        details = {row[0]: row[1] for row in rows[end:]}
        return Table(schema, table, columns, details, dict(self._run(f"SHOW TBLPROPERTIES {full}")))


def _filtered(names: list[str], column: str, sql: str) -> list[str]:
    """Names that the filters of a query on a column leave: to describe every table takes seconds."""
    wanted = {text(found) for found in re.findall(rf"{column}\s*=\s*{_TEXT}", sql, re.IGNORECASE)}
    return [each for each in names if each in wanted] if wanted else names
