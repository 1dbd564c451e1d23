"""The suite sets its scenes in PostgreSQL's words; here are Spark's for the same."""

import re
from pathlib import Path

WORDS = {
    r"`?\bNone\b`?\.": "",  # the database, which Spark does not have
    r"\bTIMESTAMP WITH(OUT)? TIME ZONE\b": "TIMESTAMP",
    r"\b(TEXT|VARCHAR(\(\d+\))?|CHARACTER VARYING(\(\d+\))?)(?=\s*(,|\)|\n|$|default))": "STRING",
    r"::text\b": "::string",
    r"\bmd5\(": "md5('' || ",  # of a number too
    r'"(\w+)"': r"`\1`",
    r"\bTEST_VALID_TO\b": "test_valid_to",  # Sail tells upper from lower case where Spark does not
}


def statements(sql: str, warehouse: Path) -> list[str]:
    """The statements of a script, each table below the warehouse as the adapter's are."""
    for pattern, spark in WORDS.items():
        sql = re.sub(pattern, spark, sql, flags=re.IGNORECASE)
    sql = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    return [_placed(statement.strip(), warehouse) for statement in sql.split(";") if _says_something(statement)]


def in_models(sql: str) -> str:
    """A model without the database, which Spark does not have, and the time zone "-0", which Sail does not read."""
    without_database = re.sub(r"(\{\{\s*(target\.)?database\s*\}\}|\{database\})\.", "", sql)
    return without_database.replace(":00-0'", ":00'")


def added_column(statement: str) -> tuple[str, str, str] | None:
    """Table, column and type of an ALTER TABLE ADD COLUMN, which Sail does not have."""
    found = re.match(r"alter table .*?(\w+)`?\s+add column `?(\w+)`?\s+(\w+)", statement, re.IGNORECASE | re.DOTALL)
    return (found[1], found[2], found[3].lower()) if found else None


def dropped_table(statement: str) -> str | None:
    """The table of a DROP TABLE: in Spark the files of an external table stay, and only the adapter removes them."""
    found = re.match(r"drop table (?:if exists )?.*?(\w+)`?\s*$", statement, re.IGNORECASE | re.DOTALL)
    return found[1] if found else None


def _says_something(statement: str) -> bool:
    return bool(re.sub(r"/\*.*?\*/", "", statement).strip())


def _placed(statement: str, warehouse: Path) -> str:
    created = re.match(r"create table `?(\w+)`?\.`?(\w+)`?\s*(\(.*\)|as\b.*)$", statement, re.IGNORECASE | re.DOTALL)
    if not created:
        return statement
    schema, table, rest = created.groups()
    placed = f"USING delta LOCATION '{warehouse / schema / table}'"
    head = f"create table `{schema}`.`{table}`"
    return f"{head} {placed} {rest}" if rest.lower().startswith("as") else f"{head} {rest} {placed}"
