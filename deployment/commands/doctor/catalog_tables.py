"""Feature tables of Unity Catalog: keys, NOT NULL and change data feed, as `dbt build` declares them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from databricks.sdk.errors import NotFound
from databricks.sdk.errors.base import DatabricksError

from deployment.commands.doctor.finding import Finding, FindingArea, Severity
from lakehouse.errors import first_line
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName
from training.catalogue.promises import Promise, recorded

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.catalog import TableInfo

_AREA = FindingArea("tables")
CHANGE_DATA_FEED = "delta.enableChangeDataFeed"


def check_catalog_tables(client: "WorkspaceClient", settings: Settings, promises_file: Path) -> list[Finding]:
    """Ask Unity Catalog for each recorded feature table; no SQL warehouse has to run."""
    promises = recorded(promises_file)
    findings = [each for name, promise in promises.items() for each in _check_table(client, settings, name, promise)]
    kept = len(promises) - len({each.message.split()[0] for each in findings if each.severity is not Severity.OK})
    tables = f"{kept} of {len(promises)} feature tables of {settings.catalog}"
    return [*findings, _AREA.ok(f"{tables} have their key, NOT NULL and change data feed.")]


def _check_table(client: "WorkspaceClient", settings: Settings, name: str, promise: Promise) -> Iterator[Finding]:
    full = f"{settings.catalog}.{settings.name_prefix}{name}"
    build = f"dbt build --target databricks --select +{TableName.parse(name).table}"
    try:
        table = client.tables.get(full)
    except NotFound:
        yield _AREA.warning(f"{full} is not built.", build)
    except DatabricksError as err:
        yield _AREA.error(f"{full} cannot be read: {first_line(err)}.", f"Ask for SELECT on {full}.")
    else:
        yield from _check_key(table, full, promise, build)
        columns = {column.name: column.nullable for column in table.columns or []}
        if missing := [column for column in (*promise.key, *promise.features) if column not in columns]:
            yield _AREA.error(f"{full} lacks the recorded columns {', '.join(missing)}.", build + " --full-refresh")
        # An absent `nullable` means true.
        if loose := [column for column in promise.key if column in columns and columns[column] is not False]:
            yield _AREA.error(f"{full} may have NULL in its key columns {', '.join(loose)}.", build)
        if (table.properties or {}).get(CHANGE_DATA_FEED, "").lower() != "true":
            message = f"{full} has no change data feed, which an online table needs (training.publish --online)."
            yield _AREA.error(message, build)


def _check_key(table: "TableInfo", full: str, promise: Promise, build: str) -> Iterator[Finding]:
    constraints = (each.primary_key_constraint for each in table.table_constraints or [])
    key = next((each for each in constraints if each is not None), None)
    if key is None:
        yield _AREA.error(f"{full} has no primary key, so that it is no feature table.", build)
    elif set(key.child_columns) != set(promise.key):
        columns = f"{', '.join(key.child_columns)}, and {', '.join(promise.key)} is recorded"
        yield _AREA.error(f"{full} has the primary key {columns}.", "python -m training.features --check")
    elif not key.timeseries_columns:
        message = f"{full} has no TIMESERIES column in its primary key, so that lookups ignore the time."
        yield _AREA.error(message, build)
