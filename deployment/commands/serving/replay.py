"""`replay`: send rows of a table to an endpoint as requests, as they are or drifted, and wait for the log."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import AiGatewayInferenceTableConfig
from deltalake import DeltaTable
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from deployment.commands.serving.detached import running
from deployment.commands.serving.endpoints import client_of
from deployment.commands.use_cases import load_to_serve
from deployment.endpoints import endpoint_client
from deployment.endpoints.state import inference_table
from deployment.model_server.endpoints.ai_gateway import InferenceTable, default_prefix
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName, Warehouse
from training.feature_store.home import open_store
from training.use_case.use_case import UseCase

SCHEMA = "logs"
REQUEST_ROWS = 100
LOG_SECONDS = 60  # in which the server must have written the log
Shift = tuple[str, float]


class ReplayRefused(LakehouseError):
    """The rows of a table are no requests of the use case."""

    @classmethod
    def columns(cls, table: str, missing: Sequence[str]) -> "ReplayRefused":
        return cls(
            f"{table} has no column {', '.join(missing)}, which requests send",
            hint="Name a table of raw records with --input, such as a staging model.",
        )

    @classmethod
    def empty(cls, table: str) -> "ReplayRefused":
        return cls(
            f"{table} has no rows to send", hint="Fill it first, such as by dbt build, or name another --input."
        )

    @classmethod
    def shift(cls, name: str) -> "ReplayRefused":
        return cls(f"'{name}' is no number in the golden request", hint="Shift a numeric field: --shift age=20.")

    @classmethod
    def unwritten(cls, table: str) -> "ReplayRefused":
        return cls(
            f"the server has not written its log to {table} within {LOG_SECONDS} s",
            hint="Look at .serving/server.log, then run monitor again.",
        )


def replay(  # noqa: PLR0913, PLR0917  (options of the command)
    name: str, table: str, newest: int, seconds: int, shifts: Sequence[Shift], settings: Settings
) -> None:
    """Send the newest rows of a table: so many seconds as they are, then as many with the shifts, if there are any.

    Raises:
        ReplayRefused: the table has no such records, or the log is not written.
        LakehouseError: no server is running, or the endpoint refuses a request.
    """
    use_case, server = load_to_serve(name), running(settings, name)
    for field, _ in shifts:
        value = use_case.golden_request.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ReplayRefused.shift(field)
    records = _records(use_case, table, newest, settings)
    client, endpoint = client_of(server), use_case.serving.endpoint
    logged = _logged_to(client, endpoint)
    before = _rows_in(logged, settings)
    console.stage(f"Sending rows of {table} to {endpoint}, logged in {logged}")
    draw = np.random.default_rng(0)
    requests = 0
    for changes in ([], list(shifts)) if shifts else ([],):
        sent = _send(client, endpoint, records, seconds, changes, draw)
        what = "as they are" if not changes else "with " + ", ".join(f"{field} {by:+g}" for field, by in changes)
        console.detail(f"{sent:,} requests of {REQUEST_ROWS} rows {what}")
        requests += sent
    _await_log(logged, before + requests, settings)


def _records(use_case: UseCase, table: str, newest: int, settings: Settings) -> list[dict[str, Any]]:
    rows, fields = open_store(settings).rows(table), list(use_case.golden_request)
    if missing := [field for field in fields if field not in rows.columns]:
        raise ReplayRefused.columns(table, missing)
    if use_case.labels.timestamp in rows.columns:
        rows = rows.orderBy(F.col(use_case.labels.timestamp).desc())
    found = rows.select(*fields).limit(newest).toArrow().to_pylist()
    if not found:
        raise ReplayRefused.empty(table)
    return [{field: _plain(value) for field, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _send(  # noqa: PLR0913, PLR0917
    client: WorkspaceClient,
    endpoint: str,
    records: list[dict[str, Any]],
    seconds: int,
    shifts: Sequence[Shift],
    draw: np.random.Generator,
) -> int:
    """Send ten requests a second in whole seconds of the clock; return their number."""
    time.sleep(1 - time.time() % 1)
    end, requests = time.time() + seconds - 0.05, 0
    while (moment := time.time()) < end:
        batch = [dict(records[at]) for at in draw.integers(0, len(records), REQUEST_ROWS).tolist()]
        for record in batch:
            for field, by in shifts:
                if record[field] is not None:
                    record[field] = type(record[field])(record[field] + by)
        endpoint_client.predict(client, endpoint, batch)
        requests += 1
        time.sleep(max(0.0, moment + 0.1 - time.time()))
    return requests


def _logged_to(client: WorkspaceClient, endpoint: str) -> TableName:
    """The payload table of the endpoint, after turning its log on if it is off."""
    table = inference_table(client.serving_endpoints.get(endpoint), endpoint)
    if table is None or not table.enabled:
        table = InferenceTable("main", SCHEMA, default_prefix(endpoint))
        config = AiGatewayInferenceTableConfig.from_dict(asdict(table))
        client.serving_endpoints.put_ai_gateway(endpoint, inference_table_config=config)
    return TableName(table.schema_name, table.payload)


def _rows_in(table: TableName, settings: Settings) -> int:
    location = str(Warehouse(settings.warehouse).location(table))
    return DeltaTable(location).count() if DeltaTable.is_deltatable(location) else 0


def _await_log(table: TableName, rows: int, settings: Settings) -> None:
    end = time.monotonic() + LOG_SECONDS
    while _rows_in(table, settings) < rows:
        if time.monotonic() > end:
            raise ReplayRefused.unwritten(str(table))
        time.sleep(0.2)
