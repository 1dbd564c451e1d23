"""Which home the ledger has: that of the feature tables."""

from deployment.ledger.entries import Ledger
from deployment.ledger.folder import FolderLedger
from lakehouse.settings import Settings
from lakehouse.warehouse import Warehouse


def open_ledger(settings: Settings) -> Ledger:
    """The ledger that FEATURE_STORE names: in the warehouse folder, or in the catalog of the workspace."""
    if settings.feature_store == "databricks":
        from deployment.ledger.catalog import CatalogLedger
        from lakehouse.session import workspace_session

        return Ledger(CatalogLedger(workspace_session(), f"{settings.catalog}.deployment.ledger"))
    return Ledger(FolderLedger(Warehouse(settings.warehouse)))
