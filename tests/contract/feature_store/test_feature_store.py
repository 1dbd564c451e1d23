"""The local feature store on real Delta tables and the embedded engine."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.session import open_session
from lakehouse.tables.warehouse import TableNotFound, Warehouse
from training.feature_store.errors import FeatureNotFound, NotAFeatureTable
from training.feature_store.local import LocalFeatureStore
from training.feature_store.tables import Feature, FeatureLookup, Spine

GOLDEN = Path(__file__).parents[2] / "golden" / "point_in_time.csv"
SPINE = Spine("gold.labels", ("entity",), "at", "label")
Row = tuple[int, datetime, int]


@pytest.fixture
def store(tmp_path: Path) -> LocalFeatureStore:
    return LocalFeatureStore(open_session, Warehouse(tmp_path))


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def write(root: Path, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    kinds = {"known_at": pa.timestamp("us", "UTC"), "at": pa.timestamp("us", "UTC"), "label": pa.int32()}
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in columns])
    data = pa.table([list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns], schema=schema)
    write_deltalake(root / "gold" / table, data, mode="overwrite")


def write_features(root: Path, rows: Sequence[Row], table: str = "features") -> None:
    published = {
        "feature_table.primary_keys": json.dumps(["entity"]),
        "feature_table.timestamp_column": "known_at",
        "feature_table.description": "It's a table.",
        "feature_table.features": json.dumps({"value": {"data_type": "bigint", "description": "A value."}}),
        "feature_table.encodings": json.dumps([{"column": "value", "as": "number"}]),
    }
    write(root, table, ["entity", "known_at", "value"], rows)
    written = DeltaTable(root / "gold" / table)
    if written.version() == 0:
        written.alter.set_table_properties(published, raise_if_not_exists=False)


def write_spine(root: Path, rows: Sequence[Row]) -> None:
    write(root, "labels", ["entity", "at", "label"], rows)


def looked_up(store: LocalFeatureStore, lookback: int | None = None) -> list[tuple[int, datetime, int | None]]:
    frame, _ = store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",), lookback)])
    return [(row["entity"], row["at"], row["value"]) for row in frame.to_arrow().to_pylist()]


def test_feature_tables_are_the_tables_with_a_key(store: LocalFeatureStore) -> None:
    root = store.warehouse.root
    write_features(root, [(1, day("2020-01-01"), 5)], "b_features")
    write_features(root, [(1, day("2020-01-01"), 5)], "a_features")
    write_spine(root, [(1, day("2020-01-01"), 1)])
    assert [table.name for table in store.tables()] == ["gold.a_features", "gold.b_features"]
    table = store.table("gold.a_features")
    assert (table.keys, table.timestamp, table.version) == (("entity",), "known_at", 1)
    assert [(f.name, f.data_type, f.description) for f in table.features] == [("value", "bigint", "A value.")]
    assert [encoding.kind for encoding in table.encodings] == ["number"]


def test_table_without_a_key_is_not_a_feature_table(store: LocalFeatureStore) -> None:
    write_spine(store.warehouse.root, [(1, day("2020-01-01"), 1)])
    with pytest.raises(NotAFeatureTable, match=r"declares no key\n.*dbt build --select labels"):
        store.table("gold.labels")
    with pytest.raises(TableNotFound, match="dbt build --select"):
        store.table("gold.label")


moments = st.integers(0, 6).map(lambda hours: day("2020-01-01") + timedelta(hours=hours))
entities = st.integers(1, 3)


def test_missing_column_error_suggests_name(store: LocalFeatureStore) -> None:
    write_features(store.warehouse.root, [(1, day("2020-01-01"), 5)])
    write_spine(store.warehouse.root, [(1, day("2020-01-02"), 0)])
    with pytest.raises(FeatureNotFound, match=r"gold\.features has no column .values.\. Did you mean .value."):
        store.training_frame(SPINE, [FeatureLookup("gold.features", ("values",))])
    with pytest.raises(FeatureNotFound, match=r"gold\.labels has no column .labels."):
        store.training_frame(Spine("gold.labels", ("entity",), "at", "labels"), [])
    with pytest.raises(FeatureNotFound, match=r"has no column .valu.\. Did you mean .value."):
        store.table("gold.features").select(["valu"])


PUBLISHED = {
    "feature_table.primary_keys": json.dumps(["country", "entity"]),
    "feature_table.timestamp_column": "known_at",
    "feature_table.description": 'People\'s "habits", in % — ß.',
    "feature_table.features": json.dumps(
        {
            "z_age": {"data_type": "double", "description": "Years."},
            "a_loan": {"data_type": "tinyint", "description": ""},
            "job_index": {"data_type": "int", "description": "Its job."},
        }
    ),
    "feature_table.encodings": json.dumps(
        [
            {"column": "z_age", "as": "number", "type": "double"},
            {"column": "a_loan", "as": "flag"},
            {"column": "job", "as": "category_index", "index": "gold.job_index"},
        ]
    ),
}


def publish(root: Path, table: str, changed: Mapping[str, str] | None = None) -> None:
    """A table of one row with the properties that dbt publishes, or with some of them changed."""
    schema, _, name = table.partition(".")
    if changed is None:
        row = {"country": ["de"], "entity": [1], "known_at": [day("2020-01-01")], "z_age": [41.0], "a_loan": [0]}
        write_deltalake(root / schema / name, pa.table({**row, "job_index": [2]}))
    DeltaTable(root / schema / name).alter.set_table_properties(
        {**PUBLISHED, **(changed or {})}, raise_if_not_exists=False
    )


def test_a_feature_table_has_the_published_declarations_in_order(store: LocalFeatureStore) -> None:
    publish(store.warehouse.root, "gold.people")
    table = store.table("gold.people")
    assert (table.name, table.version, table.keys) == ("gold.people", 1, ("country", "entity"))
    assert (table.timestamp, table.description) == ("known_at", 'People\'s "habits", in % — ß.')
    assert table.features == (
        Feature("z_age", "double", "Years."),
        Feature("a_loan", "tinyint", ""),
        Feature("job_index", "int", "Its job."),
    )
    assert [(encoding.column, encoding.kind) for encoding in table.encodings] == [
        ("z_age", "number"),
        ("a_loan", "flag"),
        ("job", "category_index"),
    ]
    assert table.select(["a_loan"]) == ("z_age", "job_index")
    assert table.select([]) == ("z_age", "a_loan", "job_index")


def test_a_feature_table_at_a_version_has_the_declarations_of_that_version(store: LocalFeatureStore) -> None:
    publish(store.warehouse.root, "gold.people")
    before = store.table("gold.people")
    renamed = {"feature_table.features": json.dumps({"age": {"data_type": "double", "description": "Years."}})}
    publish(
        store.warehouse.root,
        "gold.people",
        {"feature_table.description": "Anew.", "feature_table.encodings": "[]", **renamed},
    )
    newest = store.table("gold.people")
    assert (newest.version, newest.description, newest.encodings) == (2, "Anew.", ())
    assert [feature.name for feature in newest.features] == ["age"]
    assert store.table("gold.people", 1) == before
    assert [newest] == store.tables() == [store.table("gold.people", 2)]


def test_a_version_before_the_declaration_is_not_a_feature_table(store: LocalFeatureStore) -> None:
    write_features(store.warehouse.root, [(1, day("2020-01-01"), 5)])
    assert store.table("gold.features", 1).keys == ("entity",)
    with pytest.raises(NotAFeatureTable, match=r"gold\.features is not a feature table"):
        store.table("gold.features", 0)


def test_an_empty_warehouse_has_no_feature_tables(store: LocalFeatureStore) -> None:
    assert store.tables() == []
    with pytest.raises(TableNotFound, match=r"^gold\.people is not in the warehouse\. Known: none\."):
        store.table("gold.people")


def test_feature_tables_of_all_schemas_are_sorted_without_interrupted_writes(store: LocalFeatureStore) -> None:
    root = store.warehouse.root
    for table in ("silver.b", "gold.z", "gold.a", "silver.a"):
        publish(root, table)
    write_spine(root, [(1, day("2020-01-01"), 1)])
    (root / "gold" / "cut_off" / "_delta_log").mkdir(parents=True)
    assert [table.name for table in store.tables()] == ["gold.a", "gold.z", "silver.a", "silver.b"]


def test_missing_table_error_suggests_name_and_command(store: LocalFeatureStore) -> None:
    publish(store.warehouse.root, "gold.people")
    message = (
        r"gold\.peopel is not in the warehouse\. Did you mean 'gold\.people'\?"
        r"\n  If it is not built yet: dbt .* --select \+peopel$"
    )
    with pytest.raises(TableNotFound, match=message):
        store.table("gold.peopel")
    with pytest.raises(TableNotFound, match=message):
        store.vocabulary("gold.peopel")
    write_spine(store.warehouse.root, [(1, day("2020-01-01"), 1)])
    with pytest.raises(TableNotFound, match=message):
        store.training_frame(SPINE, [FeatureLookup("gold.peopel", ("z_age",))])


def test_a_frame_is_sorted_by_time_entity_and_label(store: LocalFeatureStore) -> None:
    rows = [
        (entity, day(f"2020-01-{date:02}"), label) for date in range(2, 8) for entity in (1, 2) for label in (0, 1)
    ]
    write_features(store.warehouse.root, [(1, day(f"2020-01-{date:02}"), date) for date in (6, 2, 4)])
    expected = [(e, at, label, at.day // 2 * 2 if e == 1 else None) for e, at, label in rows]
    for seed in range(3):
        write_spine(store.warehouse.root, Random(seed).sample(rows, len(rows)))  # noqa: S311  (order, no secret)
        frame, _ = store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",))])
        assert [tuple(row.values()) for row in frame.to_arrow().to_pylist()] == expected


def test_times_of_a_frame_are_utc_to_the_microsecond(store: LocalFeatureStore) -> None:
    at = day("2020-01-05T00:00:00.000001")
    write_features(store.warehouse.root, [(1, at, 10), (1, at + timedelta(microseconds=1), 20)])
    write_spine(store.warehouse.root, [(1, at - timedelta(microseconds=1), 0), (1, at, 0)])
    frame, _ = store.training_frame(SPINE, [FeatureLookup("gold.features", ("value",))])
    arrow = frame.to_arrow()
    assert arrow.schema.field("at").type == pa.timestamp("us", "UTC")
    assert [(row["at"], row["value"]) for row in arrow.to_pylist()] == [
        (at - timedelta(microseconds=1), None),
        (at, 10),
    ]


@pytest.mark.parametrize(("late", "found"), [(-1, 10), (0, 10), (1, None)])
def test_a_row_one_microsecond_beyond_the_lookback_is_too_old(
    store: LocalFeatureStore, late: int, found: int | None
) -> None:
    write_features(store.warehouse.root, [(1, day("2020-02-20"), 10)])
    write_spine(store.warehouse.root, [(1, day("2020-03-01") + timedelta(microseconds=late), 0)])
    assert [value for _, _, value in looked_up(store, lookback=10)] == [found]  # 2020 has a 29 February


def test_a_frame_is_rebuilt_after_its_tables_lost_rows_and_features(store: LocalFeatureStore) -> None:
    root, lookup = store.warehouse.root, FeatureLookup("gold.features", ("value",))
    write_features(root, [(1, day("2020-01-01"), 5), (2, day("2020-01-01"), 6)])
    write_spine(root, [(1, day("2020-01-02"), 0), (2, day("2020-01-03"), 1)])
    frame, versions = store.training_frame(SPINE, [lookup])
    before = frame.to_arrow()
    DeltaTable(root / "gold" / "labels").delete("entity = 2")
    DeltaTable(root / "gold" / "features").delete()
    fewer = pa.table({"entity": [1], "known_at": pa.array([day("2020-01-01")], pa.timestamp("us", "UTC"))})
    write_deltalake(root / "gold" / "features", fewer, mode="overwrite", schema_mode="overwrite")
    again, same = store.training_frame(SPINE, [lookup], versions)
    assert (again.to_arrow(), same) == (before, versions)
    with pytest.raises(FeatureNotFound, match=r"gold\.features has no column 'value'"):
        store.training_frame(SPINE, [lookup])


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    features=st.dictionaries(st.tuples(entities, moments), st.integers(0, 99), min_size=1, max_size=15),
    spine=st.lists(st.tuples(entities, moments, st.integers(0, 1)), min_size=1, max_size=15),
    later=st.dictionaries(st.tuples(entities, moments), st.integers(100, 199), min_size=1, max_size=15),
)
def test_later_writes_do_not_change_a_pinned_frame(
    store: LocalFeatureStore,
    features: dict[tuple[int, datetime], int],
    spine: list[Row],
    later: dict[tuple[int, datetime], int],
) -> None:
    write_features(store.warehouse.root, [(*key, value) for key, value in features.items()])
    write_spine(store.warehouse.root, spine)
    lookup = FeatureLookup("gold.features", ("value",))
    frame, versions = store.training_frame(SPINE, [lookup])
    before = frame.to_arrow()
    write_features(store.warehouse.root, [(*key, value) for key, value in later.items()])
    write_spine(store.warehouse.root, spine[::-1] * 2)
    again, same = store.training_frame(SPINE, [lookup], versions)
    assert (again.to_arrow(), same) == (before, versions)
