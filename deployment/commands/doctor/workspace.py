"""A workspace asked over the network: sign-in, SQL warehouse, catalog, schema of models and online store."""

from typing import TYPE_CHECKING

from databricks.sdk.errors import NotFound, PermissionDenied, Unauthenticated
from databricks.sdk.errors.base import DatabricksError
from requests import RequestException

from deployment.commands.doctor.credentials import LOGIN
from deployment.commands.doctor.finding import Finding, FindingArea
from lakehouse.errors import first_line
from lakehouse.settings import Settings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_AREA = FindingArea("workspace")
UNSEEN = (
    "sign-in at the workspace",
    "the SQL warehouse",
    "the catalog and its schemas",
)


def list_unchecked() -> list[Finding]:
    """Each thing that only a request to the workspace can check."""
    remedy = "python -m deployment.run doctor --target databricks --online"
    return [_AREA.unchecked(f"Not checked without the network: {subject}.", remedy) for subject in UNSEEN]


def check_workspace(client: "WorkspaceClient", settings: Settings, http_path: str) -> list[Finding]:
    """Sign in, and look for the warehouse of dbt, the catalog and the schema of the models."""
    host = client.config.host
    try:
        user = client.current_user.me().user_name
    except (DatabricksError, RequestException, ValueError) as err:
        kind = (
            "refuses the credentials" if isinstance(err, Unauthenticated | PermissionDenied) else "does not respond"
        )
        return [_AREA.error(f"{host} {kind}: {first_line(err)}.", LOGIN)]
    schema = settings.registered_model("x").rpartition(".")[0]
    return [
        _AREA.ok(f"{user} is signed in at {host}."),
        *_check_warehouse(client, http_path.rpartition("/")[2]),
        *_check_catalog(client, settings.catalog, schema),
    ]


def _check_warehouse(client: "WorkspaceClient", warehouse: str) -> list[Finding]:
    try:
        found = client.warehouses.get(warehouse)
    except NotFound:
        message = f"{client.config.host} has no SQL warehouse {warehouse}."
        return [_AREA.error(message, "databricks warehouses list, then export DATABRICKS_HTTP_PATH=...")]
    except DatabricksError as err:
        message = f"The SQL warehouse {warehouse} cannot be used: {first_line(err)}."
        return [_AREA.error(message, f"Ask for CAN USE on the SQL warehouse {warehouse}.")]
    return [_AREA.ok(f"The SQL warehouse {found.name} ({warehouse}) is {found.state and found.state.value}.")]


def _check_catalog(client: "WorkspaceClient", catalog: str, schema: str) -> list[Finding]:
    try:
        client.catalogs.get(catalog)
    except NotFound:
        message = f"{client.config.host} has no catalog '{catalog}'."
        return [_AREA.error(message, "databricks catalogs list, then export DATABRICKS_CATALOG=...")]
    except DatabricksError as err:
        message = f"The catalog '{catalog}' cannot be used: {first_line(err)}."
        return [_AREA.error(message, f"Ask for USE CATALOG on {catalog}.")]
    try:
        client.schemas.get(schema)
    except NotFound:
        message = f"The catalog {catalog} has no schema {schema} for models."
        return [_AREA.error(message, "databricks bundle deploy --target dev")]
    except DatabricksError as err:
        return [
            _AREA.error(f"The schema {schema} cannot be used: {first_line(err)}.", f"Ask for USE SCHEMA on {schema}.")
        ]
    return [_AREA.ok(f"The catalog {catalog} and the schema {schema} exist.")]
