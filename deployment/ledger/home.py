"""The ledger of each home: where the feature tables live, or on the server of a registry that machines share."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit, urlunsplit

from mlflow.tracking import MlflowClient

from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from lakehouse.home import DATABRICKS, LOCAL, Home, tracking_home
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse, quoted_name


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger of the home that FEATURE_STORE chooses."""
    return OPEN_LEDGER[settings.home](settings)


def _open_local(settings: Settings) -> Ledger:
    folder = FolderLedger(Warehouse(settings.warehouse))
    # A process outside the workspace registers in Unity Catalog, and keeps runs on the tracking server.
    in_catalog = settings.registry_uri.startswith(DATABRICKS.name)
    uri = settings.tracking_uri if in_catalog else settings.registry_uri
    if not is_shared(uri):
        return Ledger(folder)
    from deployment.ledger.registry import EXPERIMENT, RegistryLedger

    experiment = tracking_home(uri).experiment_folder + EXPERIMENT
    return Ledger(RegistryLedger(MlflowClient(uri), without_password(uri), experiment, folder))


def is_shared(uri: str) -> bool:
    """True for the address of a server; a file on this machine belongs to one machine.

    >>> is_shared("http://mlflow:5000"), is_shared("databricks://profile"), is_shared("sqlite:////work/mlflow.db")
    (True, True, False)
    """
    return uri.startswith(DATABRICKS.name) or urlsplit(uri).scheme.partition("+")[0] not in {"", "file", "sqlite"}


def without_password(uri: str) -> str:
    """The address without user name and password: it is written into the registry.

    >>> without_password("postgresql://me:secret@host:5432/mlflow")
    'postgresql://host:5432/mlflow'
    """
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _open_databricks(settings: Settings) -> Ledger:
    from deployment.ledger.catalog import CatalogLedger
    from lakehouse.session import workspace_session

    names = (settings.catalog, f"{settings.name_prefix}deployment", "ledger")
    return Ledger(CatalogLedger(workspace_session(), quoted_name(*names)))


OPEN_LEDGER: Mapping[Home, Callable[[Settings], Ledger]] = {LOCAL: _open_local, DATABRICKS: _open_databricks}
