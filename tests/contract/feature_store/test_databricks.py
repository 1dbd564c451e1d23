"""The feature store on Databricks: calls of the client and of Unity Catalog, and their results."""

import inspect
import sys
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pyarrow as pa
import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame

from lakehouse.settings import SettingRefused, Settings
from lakehouse.tables.warehouse import TableNotFound
from tests.contract.feature_store.unity_catalog import (
    MODULE,
    RecordedClient,
    RecordedLookup,
    Table,
    Workspace,
    vendor_client,
)
from training.feature_store import home
from training.feature_store.databricks import (
    DatabricksFeatureStore,
    LookupRefused,
    NotInWorkspace,
    OnlineRefused,
    OnlineStoreMissing,
)
from training.feature_store.errors import DuplicateColumn, FeatureNotFound, NotAFeatureTable, StaleTable, TableExists
from training.feature_store.local import LocalFeatureStore
from training.feature_store.tables import FeatureLookup, Spine
from training.feature_store.unity_catalog import UnityCatalog

SPINE = Spine("gold.labels", ("entity",), "at", "label")
TIME = pa.timestamp("us", "UTC")
ENCODINGS = '[{"column": "value", "as": "number"}]'


def installed() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's own, on import
        return pytest.importorskip(
            MODULE, reason="the client is under Databricks' own licence, so no lock installs it"
        )


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Any:
    vendor_client(monkeypatch)
    return sys.modules[MODULE]


@pytest.fixture
def workspace(vendor: Any) -> Workspace:
    return Workspace(vendor.FeatureEngineeringClient)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def features(*versions: list[tuple[int, str, int]], value: str = "value") -> Table:
    """A feature table with one version for each list of (entity, day, value)."""
    return Table(
        [
            pa.table(
                {
                    "entity": pa.array([row[0] for row in rows], pa.int64()),
                    "known_at": pa.array([day(row[1]) for row in rows], TIME),
                    value: pa.array([row[2] for row in rows], pa.int64()),
                }
            )
            for rows in versions
        ],
        keys=["entity"],
        timestamp="known_at",
        description="It's a table.",
        comments={value: "A value."},
        properties={"feature_table.encodings": ENCODINGS, "delta.minReaderVersion": "3"},
    )


def labels(*versions: list[tuple[int, str, int]]) -> Table:
    return Table(
        [
            pa.table(
                {
                    "entity": pa.array([row[0] for row in rows], pa.int64()),
                    "at": pa.array([day(row[1]) for row in rows], TIME),
                    "label": pa.array([row[2] for row in rows], pa.int32()),
                    "note": pa.array(["" for _ in rows]),
                }
            )
            for rows in versions
        ]
    )


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    first, second = [(1, "2020-01-01", 5)], [(1, "2020-01-01", 6), (2, "2020-01-03", 7)]
    workspace.tables["gold.features"] = features(first, second)
    workspace.tables["gold.labels"] = labels([(1, "2020-01-02", 0)], [(2, "2020-01-02", 1), (1, "2020-01-02", 0)])
    return workspace


def joined(workspace: Workspace, *lookups: FeatureLookup, spine: Spine = SPINE) -> list[tuple[Any, ...]]:
    frame, _ = workspace.store.training_frame(spine, lookups)
    return [tuple(row.values()) for row in frame.to_arrow().to_pylist()]


def test_a_feature_table_is_read_from_unity_catalog(filled: Workspace) -> None:
    table = filled.store.table("gold.features")
    filled.client.get_table.assert_called_once_with(name="main.gold.features")
    assert (table.name, table.version, table.description) == ("gold.features", 1, "It's a table.")
    assert (table.keys, table.timestamp) == (("entity",), "known_at")
    assert [(f.name, f.data_type, f.description) for f in table.features] == [("value", "bigint", "A value.")]
    assert [encoding.kind for encoding in table.encodings] == ["number"]
    assert filled.statements == [
        "DESCRIBE HISTORY `main`.`gold`.`features` LIMIT 1",
        "SHOW TBLPROPERTIES `main`.`gold`.`features`",
    ]


def test_missing_descriptions_are_empty(filled: Workspace) -> None:
    said = filled.tables["gold.features"]
    filled.tables["gold.features"] = Table(said.versions, said.keys, said.timestamp)
    table = filled.store.table("gold.features")
    assert (table.description, table.features[0].description, table.encodings) == ("", "", ())


def test_feature_tables_are_the_tables_whose_key_has_a_time(filled: Workspace) -> None:
    filled.tables["silver.clients"] = Table(filled.tables["gold.labels"].versions, keys=["entity"])
    filled.tables["gold.a_features"] = features([(1, "2020-01-01", 5)])
    assert [table.name for table in filled.store.tables()] == ["gold.a_features", "gold.features"]
    asked = [call.kwargs["name"] for call in filled.client.get_table.call_args_list]
    assert asked == ["main.gold.a_features", "main.gold.features", "main.silver.clients"]


@pytest.mark.parametrize("keys", [(), ("entity",)])
def test_a_table_without_a_key_or_time_is_not_a_feature_table(filled: Workspace, keys: tuple[str, ...]) -> None:
    filled.tables["gold.labels"].keys = keys
    with pytest.raises(NotAFeatureTable, match=r"declares no key\n.*dbt build --select labels"):
        filled.store.table("gold.labels")


def test_missing_table_error_suggests_name_and_command(filled: Workspace) -> None:
    for ask in (filled.store.table, filled.store.vocabulary):
        with pytest.raises(TableNotFound, match=r"Did you mean 'gold\.features'.*\n.*dbt build --select \+feature$"):
            ask("gold.feature")
    filled.client.get_table.assert_not_called()


def test_a_view_has_no_version(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(statement: str) -> Any:
        raise AnalysisException("DESCRIBE HISTORY is only supported for Delta tables")

    monkeypatch.setattr(filled, "sql", refuse)
    with pytest.raises(TableNotFound, match=r"gold\.features cannot be read.*only supported for Delta"):
        filled.store.table("gold.features")


def test_the_client_gets_the_lookups_at_the_times_of_the_spine(filled: Workspace) -> None:
    frame, versions = filled.store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",), 30)])
    filled.client.create_training_set.assert_called_once()
    asked = filled.client.create_training_set.call_args
    (lookup,) = asked.kwargs["feature_lookups"]
    assert asked.args == ()
    assert set(asked.kwargs) == {"df", "feature_lookups", "label"}
    assert (asked.kwargs["label"], asked.kwargs["df"].columns) == ("label", ["entity", "at", "label"])
    assert (lookup.table_name, lookup.lookup_key, lookup.feature_names) == (
        "main.gold.features",
        ["entity"],
        ["value"],
    )
    assert (lookup.timestamp_lookup_key, lookup.lookback_window) == ("at", timedelta(days=30))
    assert set(filled.reads) == {("`main`.`gold`.`labels`", "1"), ("`main`.`gold`.`features`", "1")}
    assert versions == {"gold.labels": 1, "gold.features": 1}
    assert frame.to_arrow().column_names == ["entity", "at", "label", "value"]


def test_without_a_lookback_there_is_no_window(filled: Workspace) -> None:
    joined(filled, FeatureLookup("gold.features", ("value",)))
    (lookup,) = filled.client.create_training_set.call_args.kwargs["feature_lookups"]
    assert lookup.lookback_window is None


def test_several_tables_are_one_training_set(filled: Workspace) -> None:
    filled.tables["gold.visits"] = features([(2, "2020-01-02", 9)], value="visits")
    lookups = FeatureLookup("gold.visits", ("visits",)), FeatureLookup("gold.features", ("value",), 1)
    assert joined(filled, *lookups) == [(1, day("2020-01-02"), 0, None, 6), (2, day("2020-01-02"), 1, 9, None)]
    asked = filled.client.create_training_set.call_args.kwargs["feature_lookups"]
    assert [lookup.table_name for lookup in asked] == ["main.gold.visits", "main.gold.features"]


def test_a_key_of_several_columns_is_given_in_the_order_of_the_primary_key(filled: Workspace) -> None:
    rows = {"at": [day("2020-01-02")], "country": ["DE"], "entity": [1], "label": [0]}
    filled.tables["gold.labels"] = Table([pa.table(rows)])
    values = pa.table({"known_at": [day("2020-01-01")], "entity": [1], "country": ["DE"], "value": [3]})
    filled.tables["gold.features"] = Table([values], keys=["country", "entity"], timestamp="known_at")
    spine = Spine("gold.labels", ("entity", "country"), "at", "label")
    assert joined(filled, FeatureLookup("gold.features", ("value",)), spine=spine)[0][-1] == 3
    (lookup,) = filled.client.create_training_set.call_args.kwargs["feature_lookups"]
    assert lookup.lookup_key == ["country", "entity"]


def test_an_empty_list_of_features_looks_up_none(filled: Workspace) -> None:
    assert joined(filled, FeatureLookup("gold.features", ())) == [
        (1, day("2020-01-02"), 0),
        (2, day("2020-01-02"), 1),
    ]
    filled.client.create_training_set.assert_not_called()


def test_a_pinned_spine_is_read_at_its_version(filled: Workspace) -> None:
    pinned = {"gold.labels": 0, "gold.features": 1}
    frame, versions = filled.store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",))], pinned)
    assert (len(frame), versions) == (1, pinned)
    assert filled.reads[0] == ("`main`.`gold`.`labels`", "0")


def test_a_feature_table_at_an_earlier_version_is_joined_without_the_client(filled: Workspace) -> None:
    frame, versions = filled.store.training_frame(
        SPINE, [FeatureLookup("gold.features", ("value",))], {"gold.features": 0}
    )
    assert [row["value"] for row in frame.to_arrow().to_pylist()] == [5, None]
    assert versions == {"gold.labels": 1, "gold.features": 0}
    filled.client.create_training_set.assert_not_called()


def test_a_table_with_a_second_time_is_joined_without_the_client_and_not_published(filled: Workspace) -> None:
    rows = {"entity": [1], "known_at": [day("2020-01-01")], "arrived_at": [day("2020-01-03")], "value": [5]}
    filled.tables["gold.features"] = Table(
        [pa.table(rows)],
        keys=["entity", "arrived_at"],
        timestamp="known_at",
        properties={"feature_table.known_at_column": "arrived_at"},
    )
    assert joined(filled, FeatureLookup("gold.features", ("value",)))[0][-1] is None
    filled.client.create_training_set.assert_not_called()
    with pytest.raises(OnlineRefused, match=r"gold\.features has a second time column arrived_at"):
        filled.store.publish("gold.features")
    filled.client.publish_table.assert_not_called()


def test_a_stale_table_is_refused(filled: Workspace) -> None:
    two_days = '{"error_after": {"count": 2, "period": "day"}}'
    filled.tables["gold.features"].properties = {"feature_table.freshness": two_days}
    table = filled.store.table("gold.features")
    table.require_fresh(day("2020-01-05"))
    with pytest.raises(StaleTable, match=r"gold\.features ends at 2020-01-03 00:00 UTC"):
        table.require_fresh(day("2020-01-06"))


def test_missing_pinned_version_is_named_in_the_error(filled: Workspace) -> None:
    with pytest.raises(TableNotFound, match=r"gold\.labels cannot be read at version 99: .*time travel"):
        filled.store.training_frame(SPINE, [], {"gold.labels": 99})


@pytest.mark.parametrize(
    ("spine", "feature", "refusal", "message"),
    [
        (Spine("gold.labels", ("entity",), "at", "labels"), "value", FeatureNotFound, r"gold\.labels .*'labels'"),
        (
            Spine("gold.labels", ("note",), "at", "label"),
            "value",
            FeatureNotFound,
            r"the spine gold\.labels .*'entity'",
        ),
        (SPINE, "values", FeatureNotFound, r"gold\.features has no column 'values'\. Did you mean 'value'"),
    ],
)
def test_missing_column_error_suggests_name(
    filled: Workspace, spine: Spine, feature: str, refusal: type[Exception], message: str
) -> None:
    with pytest.raises(refusal, match=message):
        filled.store.training_frame(spine, [FeatureLookup("gold.features", (feature,))])
    filled.client.create_training_set.assert_not_called()


@pytest.mark.parametrize("taken", ["label", "value"])
def test_duplicate_column_name_is_refused(filled: Workspace, taken: str) -> None:
    filled.tables["gold.visits"] = features([(2, "2020-01-02", 9)], value=taken)
    lookups = [FeatureLookup("gold.features", ("value",)), FeatureLookup("gold.visits", (taken,))]
    with pytest.raises(DuplicateColumn, match=rf"already has a column '{taken}', and gold\.visits"):
        filled.store.training_frame(SPINE, lookups)


@pytest.mark.parametrize("error", [ValueError("types do not match"), AnalysisException("permission denied")])
def test_an_error_of_the_client_names_the_tables(filled: Workspace, error: Exception) -> None:
    filled.client.create_training_set.side_effect = error
    with pytest.raises(LookupRefused, match=rf"of main\.gold\.features .* for gold\.labels: .*{error}") as refused:
        filled.store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",))])
    assert refused.value.__cause__ is error


INSIDE = {"FEATURE_STORE": "databricks", "DATABRICKS_RUNTIME_VERSION": "17.3", "DATABRICKS_CATALOG": "risk"}


def test_create_writes_a_new_table_and_refuses_an_existing_one(filled: Workspace) -> None:
    rows = create_autospec(DataFrame, instance=True)
    filled.store.create("gold.answers", rows)
    rows.write.format("delta").saveAsTable.assert_called_once_with("`main`.`gold`.`answers`")
    with pytest.raises(TableExists, match=r"gold\.labels already exists"):
        filled.store.create("gold.labels", rows)
    assert filled.store.rows("gold.labels").count() > 0


def test_the_default_home_is_local() -> None:
    assert isinstance(home.open_store(Settings.from_environment({})), LocalFeatureStore)


def test_inside_a_workspace_the_store_is_unity_catalog(vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "FeatureEngineeringClient", lambda: "the client")
    monkeypatch.setattr("training.feature_store.databricks.workspace_session", lambda: "the session")
    store = home.open_store(Settings.from_environment(INSIDE))
    assert store == DatabricksFeatureStore(UnityCatalog("the session", "risk"), "the client")  # type: ignore[arg-type]


def test_outside_a_workspace_databricks_is_refused() -> None:
    with pytest.raises(NotInWorkspace, match=r"outside a Databricks workspace\n.*unset FEATURE_STORE"):
        home.open_store(Settings.from_environment({"FEATURE_STORE": "databricks"}))


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(NotInWorkspace, match=r"not installed\n.*lakehouse-ml\[databricks\]"):
        home.open_store(Settings.from_environment(INSIDE))


@pytest.mark.parametrize(
    ("name", "hint"), [("databrick", "Did you mean 'databricks'"), ("", "Known: databricks, local")]
)
def test_unknown_home_error_suggests_name(name: str, hint: str) -> None:
    with pytest.raises(SettingRefused, match=rf"FEATURE_STORE is '{name}'.*{hint}"):
        Settings.from_environment({"FEATURE_STORE": name})


def test_the_recorded_client_is_the_installed_one() -> None:
    module = installed()
    for recorded, real in (
        (RecordedLookup.__init__, module.FeatureLookup.__init__),
        (RecordedClient.get_table, module.FeatureEngineeringClient.get_table),
        (RecordedClient.create_training_set, module.FeatureEngineeringClient.create_training_set),
        (RecordedClient.get_online_store, module.FeatureEngineeringClient.get_online_store),
        (RecordedClient.publish_table, module.FeatureEngineeringClient.publish_table),
    ):
        declared = inspect.signature(real).parameters
        for name, parameter in inspect.signature(recorded).parameters.items():
            assert (parameter.kind, parameter.default) == (declared[name].kind, declared[name].default)
    about = inspect.signature(module.FeatureEngineeringClient.get_table).return_annotation
    assert {"description", "primary_keys", "timestamp_keys"} <= set(inspect.signature(about).parameters)


def test_the_local_home_imports_no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)  # an import would fail
    home.open_store(Settings.from_environment({}))


def test_publish_uses_the_configured_online_store(filled: Workspace) -> None:
    published = filled.store.publish("gold.features")
    filled.client.get_online_store.assert_called_once_with(name="lakehouse")
    filled.client.publish_table.assert_called_once_with(
        online_store=filled.client.get_online_store.return_value,
        source_table_name="main.gold.features",
        online_table_name="main.gold.features_online",
        publish_mode="TRIGGERED",
    )
    assert (published.version, published.features, published.rows) == (1, ("value",), None)


def test_a_missing_online_store_is_named_and_not_created(filled: Workspace) -> None:
    filled.client.get_online_store.return_value = None
    with pytest.raises(OnlineStoreMissing, match=r"no online store 'lakehouse'\n.*create_online_store.*ONLINE_STORE"):
        filled.store.publish("gold.features")
    filled.client.publish_table.assert_not_called()
