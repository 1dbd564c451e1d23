"""Translation of the suite's PostgreSQL set-up statements into Spark SQL."""

import re
from pathlib import Path

REPLACEMENTS = {
    r"`?\bNone\b`?\.": "",  # no database level in Spark
    r"\bTIMESTAMP WITH(OUT)? TIME ZONE\b": "TIMESTAMP",
    r"\b(TEXT|VARCHAR(\(\d+\))?|CHARACTER VARYING(\(\d+\))?)(?=\s*(,|\)|\n|$|default))": "STRING",
    r"::text\b": "::string",
    r"\bmd5\(": "md5('' || ",  # also for numbers
    r'"(\w+)"': r"`\1`",
    r"\bTEST_VALID_TO\b": "test_valid_to",  # Sail is case-sensitive here, Spark is not
}


def statements(sql: str, warehouse: Path) -> list[str]:
    """Statements of a script, with every table below the warehouse, as the adapter places them."""
    for pattern, spark in REPLACEMENTS.items():
        sql = re.sub(pattern, spark, sql, flags=re.IGNORECASE)
    sql = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    return [_with_location(statement.strip(), warehouse) for statement in sql.split(";") if _has_code(statement)]


def in_models(sql: str) -> str:
    """Model without the database level, which Spark lacks, and the time zone "-0", which Sail cannot read."""
    without_database = re.sub(r"(\{\{\s*(target\.)?database\s*\}\}|\{database\})\.", "", sql)
    return without_database.replace(":00-0'", ":00'")


def added_column(statement: str) -> tuple[str, str, str] | None:
    """Table, column and type of an ALTER TABLE ADD COLUMN, which Sail does not support."""
    match = re.match(r"alter table .*?(\w+)`?\s+add column `?(\w+)`?\s+(\w+)", statement, re.IGNORECASE | re.DOTALL)
    return (match[1], match[2], match[3].lower()) if match else None


def dropped_table(statement: str) -> str | None:
    """Table of a DROP TABLE. Spark keeps the files of an external table; only the adapter deletes them."""
    match = re.match(r"drop table (?:if exists )?.*?(\w+)`?\s*$", statement, re.IGNORECASE | re.DOTALL)
    return match[1] if match else None


def _has_code(statement: str) -> bool:
    return bool(re.sub(r"/\*.*?\*/", "", statement).strip())


def _with_location(statement: str, warehouse: Path) -> str:
    created = re.match(r"create table `?(\w+)`?\.`?(\w+)`?\s*(\(.*\)|as\b.*)$", statement, re.IGNORECASE | re.DOTALL)
    if not created:
        return statement
    schema, table, rest = created.groups()
    location = f"USING delta LOCATION '{warehouse / schema / table}'"
    head = f"create table `{schema}`.`{table}`"
    return f"{head} {location} {rest}" if rest.lower().startswith("as") else f"{head} {rest} {location}"
