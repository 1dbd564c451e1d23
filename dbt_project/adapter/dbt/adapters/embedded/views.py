"""Persistent views: the SQL of each view is stored next to the tables, in `<schema>/<view>.view.sql`."""

from collections.abc import Iterator
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.tables.warehouse import TableName, Warehouse

SUFFIX = ".view.sql"


def path(warehouse: Warehouse, name: TableName) -> Path:
    """Path of the SQL file of a view."""
    return warehouse.location(name).with_name(f"{name.table}{SUFFIX}")


def names(warehouse: Warehouse, schema: str) -> Iterator[TableName]:
    """Yield the views of a schema, ordered by name."""
    for file in sorted(warehouse.root.glob(f"{schema}/*{SUFFIX}")):
        yield TableName(schema, file.name.removesuffix(SUFFIX))


def store(warehouse: Warehouse, name: TableName, create_sql: str) -> None:
    """Store the SQL of the view, completely or not at all."""
    file = path(warehouse, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(create_sql, encoding="utf-8")
    draft.replace(file)


def delete(warehouse: Warehouse, name: TableName) -> None:
    """Delete the SQL file of the view."""
    path(warehouse, name).unlink(missing_ok=True)


def register(session: SparkSession, warehouse: Warehouse) -> None:
    """Create every stored view in the session; a view that reads another one comes after it.

    A view with missing sources is skipped. dbt creates it in its next build; until then, reading it fails by name.
    """
    waiting = sorted(warehouse.root.glob(f"*/*{SUFFIX}"))
    while waiting:
        failed = [file for file in waiting if not _created(session, file)]
        if failed == waiting:
            return
        waiting = failed


def _created(session: SparkSession, file: Path) -> bool:
    try:
        session.sql(f"CREATE DATABASE IF NOT EXISTS `{file.parent.name}`").collect()
        session.sql(file.read_text(encoding="utf-8")).collect()
    except PySparkException:
        return False
    return True
