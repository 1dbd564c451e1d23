"""The ledger of each home: it lives where the feature tables live."""

from collections.abc import Callable, Mapping

from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from lakehouse.home import DATABRICKS, LOCAL, Home
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger of the home that FEATURE_STORE chooses."""
    return OPEN_LEDGER[settings.home](settings)


def _open_local(settings: Settings) -> Ledger:
    return Ledger(FolderLedger(Warehouse(settings.warehouse)))


def _open_databricks(settings: Settings) -> Ledger:
    from deployment.ledger.catalog import CatalogLedger
    from lakehouse.session import workspace_session

    return Ledger(CatalogLedger(workspace_session(), f"{settings.catalog}.{settings.name_prefix}deployment.ledger"))


OPEN_LEDGER: Mapping[Home, Callable[[Settings], Ledger]] = {LOCAL: _open_local, DATABRICKS: _open_databricks}
