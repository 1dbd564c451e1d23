"""Views outlive the process: the SQL of each stands beside the tables, in `<schema>/<view>.view.sql`."""

from collections.abc import Iterator
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.warehouse import TableName, Warehouse

SUFFIX = ".view.sql"


def path(warehouse: Warehouse, name: TableName) -> Path:
    """Where the view's SQL stands."""
    return warehouse.location(name).with_name(f"{name.table}{SUFFIX}")


def names(warehouse: Warehouse, schema: str) -> Iterator[TableName]:
    """The views of a schema, ordered by name."""
    for file in sorted(warehouse.root.glob(f"{schema}/*{SUFFIX}")):
        yield TableName(schema, file.name.removesuffix(SUFFIX))


def keep(warehouse: Warehouse, name: TableName, create_sql: str) -> None:
    """Remember how the view is made, whole or not at all."""
    file = path(warehouse, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(create_sql, encoding="utf-8")
    draft.replace(file)


def forget(warehouse: Warehouse, name: TableName) -> None:
    """The view is gone."""
    path(warehouse, name).unlink(missing_ok=True)


def register(session: SparkSession, warehouse: Warehouse) -> None:
    """Make every view again; one that reads another comes after it.

    A view whose sources are gone stays unmade: dbt builds it anew, and until then reading it fails by name.
    """
    waiting = sorted(warehouse.root.glob(f"*/*{SUFFIX}"))
    while waiting:
        failed = [file for file in waiting if not _made(session, file)]
        if failed == waiting:
            return
        waiting = failed


def _made(session: SparkSession, file: Path) -> bool:
    try:
        session.sql(f"CREATE DATABASE IF NOT EXISTS `{file.parent.name}`").collect()
        session.sql(file.read_text(encoding="utf-8")).collect()
    except PySparkException:
        return False
    return True
