"""Statements of a SQL warehouse as statements of vanilla Spark, or refusals."""

from pathlib import Path
from typing import Any

from tests.stand_ins.sql_warehouse.read_files import ReadFiles
from tests.stand_ins.sql_warehouse.statements import Refused, Token, bare, tokens
from tests.stand_ins.sql_warehouse.unity_catalog import UnityCatalog

NOTHING = "SELECT 1 WHERE false"
FIRST_WORDS = {"SELECT", "WITH", "INSERT", "MERGE", "UPDATE", "DELETE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "USE",
               "COMMENT", "CREATE", "DROP", "ALTER", "OPTIMIZE", "TRUNCATE", "SET", "VALUES"}  # fmt: skip
OBJECTS = {"TABLE", "VIEW", "SCHEMA", "DATABASE"}
# Configuration that a SQL warehouse lets a session set.
SETTABLE = {"ANSI_MODE", "TIMEZONE", "STATEMENT_TIMEOUT", "USE_CACHED_RESULT", "QUERY_TAGS"}
PATH_FORMATS = {"delta", "parquet", "csv", "json", "text", "orc", "avro", "binaryfile"}


class SqlWarehouse:
    """Warehouse on a Spark session, with the volumes in a folder.

    Attributes:
        statements: what the clients sent, in order, without comments.
    """

    def __init__(self, session: Any, volumes: Path) -> None:
        self.catalog = UnityCatalog(lambda sql: list(session.sql(sql).collect()))
        self.statements: list[str] = []
        self._read_files = ReadFiles(session, volumes)

    def translated(self, sql: str) -> str:
        """Statement for Spark.

        Raises:
            Refused: Databricks refuses the statement.
        """
        self.statements.append(bare(sql))
        found = [token for token in tokens(sql) if token.kind != "space"]
        _require_known(found)
        _require_managed(found)
        if self.catalog.changed(sql):
            return NOTHING
        if found[0].word == "DROP" and found[1].word == "TABLE":
            self.catalog.dropped("".join(each.text for each in found[2:]).removeprefix("IFEXISTS"))
        answer = self.catalog.answered(sql)
        if answer is not None:
            return answer
        return self._read_files.translated(self.catalog.with_information_schema(sql))


def _require_known(found: list[Token]) -> None:
    """Refuse what the parser of a SQL warehouse does not know."""
    first = found[0].word if found else ""
    if first not in FIRST_WORDS and first != "(":
        raise Refused("PARSE_SYNTAX_ERROR", f"syntax error at or near '{first}'")
    if first in ("CREATE", "DROP", "ALTER") and not OBJECTS & {each.word for each in found[1:5]}:
        raise Refused("PARSE_SYNTAX_ERROR", f"syntax error at or near '{found[1].text}'")
    if first == "SET" and found[1].word not in SETTABLE:
        raise Refused("CONFIG_NOT_AVAILABLE", f"configuration {found[1].text} is not available")
    words = [each.word for each in found]
    if first == "ALTER" and "CONSTRAINT" in words and not {"PRIMARY", "CHECK", "DROP"} & set(words):
        raise Refused("PARSE_SYNTAX_ERROR", "syntax error at or near 'CONSTRAINT'")


def _require_managed(found: list[Token]) -> None:
    """Refuse tables outside of Unity Catalog: other formats, locations, and files by their path."""
    words = [each.word for each in found]
    if words[0] == "CREATE" and "TABLE" in words[:5]:
        head = words[: words.index("AS")] if "AS" in words else words
        if "USING" in head and head[head.index("USING") + 1] != "DELTA":
            raise Refused("UNITY_CATALOG_UNSUPPORTED_FORMAT", "a managed table has the format delta")
        if "LOCATION" in head:
            raise Refused("INVALID_PARAMETER_VALUE", "the location is not in an external location")

    for format_of, dot, path in zip(found, found[1:], found[2:], strict=False):
        if format_of.text.lower() in PATH_FORMATS and dot.text == "." and "/" in path.text:
            raise Refused("INSUFFICIENT_PERMISSIONS", f"{path.text} is not in an external location")
