"""A stand-in for a workspace: the documented responses of Unity Catalog, with rows from the embedded engine.

The client is Databricks' own, auto-specced, where the extra is installed. Elsewhere it is `RecordedClient`: the
parameters that version 0.16 of the client declares, and no body. A test holds the two against each other.
"""

import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from unittest.mock import create_autospec

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession

from lakehouse.session import open_session
from training.feature_store.databricks import DatabricksFeatureStore
from training.feature_store.unity_catalog import UnityCatalog

MODULE = "databricks.feature_engineering"


def vendor_client(monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """The class of Databricks' client if it is installed, or else the recorded one."""
    if find_spec(MODULE):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the client's own, on import
            client: type[Any] = import_module(MODULE).FeatureEngineeringClient
        return client
    module: Any = ModuleType(MODULE)
    module.FeatureEngineeringClient, module.FeatureLookup = RecordedClient, RecordedLookup
    monkeypatch.setitem(sys.modules, MODULE, module)
    return RecordedClient


class RecordedLookup:
    def __init__(
        self,
        table_name: str,
        lookup_key: str | list[str],
        *,
        feature_names: str | list[str] | None = None,
        rename_outputs: dict[str, str] | None = None,
        timestamp_lookup_key: str | None = None,
        lookback_window: timedelta | None = None,
        default_values: dict[str, Any] | None = None,
    ) -> None:
        self.table_name = table_name
        self.lookup_key = lookup_key
        self.feature_names = feature_names
        self.timestamp_lookup_key = timestamp_lookup_key
        self.lookback_window = lookback_window


class RecordedClient:
    def get_table(self, *, name: str) -> Any: ...

    def create_training_set(
        self,
        *,
        df: DataFrame,
        feature_lookups: list[Any] | None = None,
        feature_spec: str | None = None,
        features: list[Any] | None = None,
        label: str | list[str] | None,
        exclude_columns: list[str] | None = None,
        use_spark_native_join: bool = False,
        use_timeseries_filtering: bool = False,
        **kwargs: Any,
    ) -> Any: ...

    def get_online_store(self, *, name: str) -> Any: ...

    def publish_table(
        self,
        *,
        online_store: Any,
        source_table_name: str | None = None,
        online_table_name: str | None = None,
        publish_mode: str = "TRIGGERED",
        filter_condition: str | None = None,
        mode: str = "merge",
        streaming: bool = False,
        checkpoint_location: str | None = None,
        trigger: dict[str, Any] = {"processingTime": "5 minutes"},  # noqa: B006  (the client's own)
        features: str | list[str] | None = None,
        **kwargs: Any,
    ) -> Any: ...


@dataclass
class Table:
    """A table with its versions from 0 and its metadata in Unity Catalog."""

    versions: list[pa.Table]
    keys: Sequence[str] = ()
    timestamp: str | None = None
    description: str | None = None
    comments: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


class Workspace:
    """Tables of the catalogue `main` by `schema.table`, with a session and a client for exactly these tables."""

    def __init__(self, client_class: type[Any]) -> None:
        self.tables: dict[str, Table] = {}
        self.statements: list[str] = []
        self.reads: list[tuple[str, str | None]] = []
        self.catalog = SimpleNamespace(tableExists=lambda name: _plain(name) in self.tables)
        self.client = create_autospec(client_class, instance=True)
        self.client.get_table.side_effect = self._get_table
        self.client.create_training_set.side_effect = self._create_training_set

    @property
    def store(self) -> DatabricksFeatureStore:
        return DatabricksFeatureStore(UnityCatalog(cast(SparkSession, self), "main"), self.client)

    @property
    def read(self) -> "_Reader":
        return _Reader(self)

    def sql(self, statement: str) -> Any:
        self.statements.append(statement)
        return SimpleNamespace(collect=lambda: self._answer(statement))

    def load(self, name: str, version: str | None) -> DataFrame:
        self.reads.append((name, version))
        table = self.tables[_plain(name)]
        number = len(table.versions) - 1 if version is None else int(version)
        if number not in range(len(table.versions)):
            raise AnalysisException(f"Cannot time travel Delta table to version {number}")
        rows = open_session().createDataFrame(table.versions[number])
        for column, comment in table.comments.items():
            rows = rows.withMetadata(column, {"comment": comment})
        return rows

    def _answer(self, statement: str) -> list[Row]:
        if found := re.fullmatch(r"DESCRIBE HISTORY (\S+) LIMIT 1", statement):
            return [Row(version=len(self.tables[_plain(found[1])].versions) - 1, operation="WRITE")]
        if found := re.fullmatch(r"SHOW TBLPROPERTIES (\S+)", statement):
            return [Row(key=key, value=value) for key, value in self.tables[_plain(found[1])].properties.items()]
        found = re.fullmatch(
            r"SELECT table_schema, table_name FROM `main`\.information_schema\.(\w+) WHERE (.+) "
            r"ORDER BY table_schema, table_name",
            statement,
        )
        assert found, f"Unity Catalog was asked something else: {statement}"
        view, condition = found.groups()
        assert (view, condition) in {("tables", "true"), ("table_constraints", "constraint_type = 'PRIMARY KEY'")}
        names = sorted(name for name, table in self.tables.items() if view == "tables" or table.keys)
        return [Row(table_schema=schema, table_name=table) for schema, table in (name.split(".") for name in names)]

    def _get_table(self, *, name: str) -> SimpleNamespace:
        table = self.tables[name.removeprefix("main.")]
        if not table.keys:
            raise ValueError(
                "Table can't be used as a feature table because it has no primary key constraint defined."
            )
        return SimpleNamespace(
            description=table.description,
            primary_keys=list(table.keys),
            timestamp_keys=[table.timestamp] if table.timestamp else [],
        )

    def _create_training_set(self, *, df: DataFrame, feature_lookups: list[Any], label: str) -> SimpleNamespace:
        """The simplest join that follows the client's documentation; the label is the last column."""
        rows = df.toArrow()
        labels = rows[label]
        columns = {name: rows[name] for name in rows.column_names if name != label}
        for lookup in feature_lookups:
            table = self.tables[lookup.table_name.removeprefix("main.")]
            values = table.versions[-1]
            found = [_newest(table, values.to_pylist(), row, lookup) for row in rows.to_pylist()]
            for name in lookup.feature_names:
                columns[name] = pa.array([row.get(name) for row in found], values.schema.field(name).type)
        joined = open_session().createDataFrame(pa.table({**columns, label: labels}))
        return SimpleNamespace(load_df=lambda: joined)


class _Reader:
    def __init__(self, workspace: Workspace, version: str | None = None) -> None:
        self._workspace, self._version = workspace, version

    def option(self, name: str, value: str) -> "_Reader":
        assert name == "versionAsOf"
        return _Reader(self._workspace, value)

    def table(self, name: str) -> DataFrame:
        return self._workspace.load(name, self._version)


def _newest(table: Table, known: list[dict[str, Any]], row: dict[str, Any], lookup: Any) -> dict[str, Any]:
    at, known_at = row[lookup.timestamp_lookup_key], str(table.timestamp)
    oldest = None if lookup.lookback_window is None else at - lookup.lookback_window
    names = list(zip(table.keys, lookup.lookup_key, strict=True))
    fitting = [
        other
        for other in known
        if all(other[ours] == row[theirs] for ours, theirs in names)
        and other[known_at] <= at
        and (oldest is None or other[known_at] >= oldest)
    ]
    return max(fitting, key=lambda other: other[known_at], default={})


def _plain(quoted: str) -> str:
    catalog, schema, table = quoted.replace("`", "").split(".")
    assert catalog == "main"
    return f"{schema}.{table}"
