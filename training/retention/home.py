"""The table maintenance of each home."""

from collections.abc import Callable, Mapping

from lakehouse.home import DATABRICKS, LOCAL, Home
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from training.retention import databricks
from training.retention.local import LocalMaintenance
from training.retention.maintained import TableMaintenance

OPEN_MAINTENANCE: Mapping[Home, Callable[[Settings], TableMaintenance]] = {
    LOCAL: lambda settings: LocalMaintenance(Warehouse(settings.warehouse)),
    DATABRICKS: databricks.connect,
}


def open_maintenance(settings: Settings) -> TableMaintenance:
    """Open the maintenance of the home that FEATURE_STORE chooses.

    Raises:
        NotInWorkspace: the home is `databricks`, and this process runs outside a workspace.
    """
    return OPEN_MAINTENANCE[settings.home](settings)
