"""The feature store of each home."""

from collections.abc import Callable, Mapping

from lakehouse.engine.remote import require_shared_folder
from lakehouse.home import DATABRICKS, LOCAL, Home
from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.tables.warehouse import Warehouse
from training.feature_store.local import LocalFeatureStore
from training.feature_store.store import FeatureStore


def open_store(settings: Settings) -> FeatureStore:
    """Open the feature store of the home that FEATURE_STORE chooses.

    Raises:
        EngineUnreachable: no server responds at SPARK_REMOTE.
        EngineRefused: the server cannot run the lifecycle, or does not see the warehouse.
        NotInWorkspace: the home is `databricks`, and this process runs outside a workspace.
    """
    return OPEN_STORE[settings.home](settings)


def _open_local(settings: Settings) -> FeatureStore:
    remote = settings.remote
    if remote is not None:  # fails at once if there is no server
        require_shared_folder(open_session(remote), remote, settings.warehouse)
    return LocalFeatureStore(lambda: open_session(remote), Warehouse(settings.warehouse), remote is not None)


def _open_databricks(settings: Settings) -> FeatureStore:
    from training.feature_store import databricks  # imported only in a workspace: its client is an extra

    return databricks.connect(settings)


OPEN_STORE: Mapping[Home, Callable[[Settings], FeatureStore]] = {LOCAL: _open_local, DATABRICKS: _open_databricks}
