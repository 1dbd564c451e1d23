"""Which home the feature tables have."""

from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.warehouse import Warehouse
from training.feature_store import FeatureStore
from training.feature_store.local import LocalFeatureStore


def open_store(settings: Settings) -> FeatureStore:
    """The Feature Store that FEATURE_STORE names: `local` unless it says `databricks`.

    Raises:
        EngineUnreachable: nothing answers at SPARK_REMOTE.
        WorkspaceNeeded: `databricks` is named, and this process cannot reach it.
    """
    if settings.feature_store == "databricks":
        from training.feature_store import databricks

        return databricks.connect(settings)
    return LocalFeatureStore(open_session(settings.remote), Warehouse(settings.warehouse))
