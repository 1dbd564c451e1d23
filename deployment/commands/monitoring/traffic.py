"""The traffic that `monitor` reads: the payload table of the endpoint, and the table of labels."""

from datetime import datetime

from pyspark.sql import DataFrame

from deployment.model_server.endpoints.ai_gateway import InferenceTable, default_prefix
from deployment.monitoring.monitored_run import LiveTraffic
from deployment.monitoring.payload import NoPayloadTable, exchanges
from deployment.monitoring.version import MonitoredVersion, served_ids, workspace_ids
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse, quoted_name
from training.feature_store.home import open_store
from training.use_case.use_case import UseCase


def live_traffic(  # noqa: PLR0913  (everything that names the traffic)
    use_case: UseCase,
    version: MonitoredVersion,
    since: datetime,
    table: str | None,
    settings: Settings,
    *,
    every_version: bool,
) -> LiveTraffic:
    """The rows of the payload table from a time on, and the label table if the use case declares one.

    Raises:
        NoPayloadTable: requests of the endpoint are not logged, or the named table is no payload table.
        TableNotFound: there is no such label table.
        NotMonitored: the IDs of the version are not known.
    """
    table = table or _logged_table(use_case, settings)
    rows, ids = _rows(table, use_case, version, settings, every=every_version)
    labels = use_case.monitoring.labels
    label_rows = None if labels is None else open_store(settings).rows(labels.table)
    return LiveTraffic(table, exchanges(rows, table, since), ids, label_rows)


def _rows(
    table: str, use_case: UseCase, version: MonitoredVersion, settings: Settings, *, every: bool
) -> tuple[DataFrame, frozenset[str]]:
    endpoint = settings.endpoint(use_case.serving.endpoint)
    if settings.home.runs_model_server:
        from lakehouse.session import workspace_session

        session = workspace_session()
        if not session.catalog.tableExists(quoted_name(*table.split("."))):
            raise NoPayloadTable.named(table, endpoint)
        ids = frozenset[str]() if every else workspace_ids(session, version.model, version.number)
        return session.table(quoted_name(*table.split("."))), ids
    try:
        return open_store(settings).rows(table), frozenset() if every else served_ids(version)
    except TableNotFound as err:
        raise NoPayloadTable.named(table, endpoint) from err


def _logged_table(use_case: UseCase, settings: Settings) -> str:
    """The payload table of the endpoint's config; without a running server the only one with its name.

    Raises:
        NoPayloadTable: requests of the endpoint are not logged.
    """
    from deployment.commands.serving.champion_endpoint import serving_client
    from deployment.endpoints.state import inference_table
    from deployment.endpoints.waiting import find

    endpoint = settings.endpoint(use_case.serving.endpoint)
    client = serving_client(settings)
    table = None if client is None else inference_table(find(client, endpoint), endpoint)
    if table is not None:
        return table.table if settings.home.runs_model_server else str(TableName(table.schema_name, table.payload))
    expected = InferenceTable("", "SCHEMA", default_prefix(endpoint))
    if not settings.home.runs_model_server:
        tables = [str(each) for each in Warehouse(settings.warehouse).tables() if each.table == expected.payload]
        if len(tables) == 1:
            return tables[0]
    raise NoPayloadTable.named(expected.payload, endpoint)
