"""One table that cannot be read does not stop the commands for the others."""

from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from lakehouse.session import open_session
from lakehouse.tables.warehouse import TableNotFound, Warehouse
from tests.contract.feature_store.test_point_in_time import day, write
from training import features, publish
from training.feature_store.errors import TablesLeftOut
from training.feature_store.local import LocalFeatureStore

SENTENCE = (
    "gold.odd cannot be read: delta-rs refuses its log (Unsupported Delta table type: 'string collate UTF8_BINARY')"
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalFeatureStore:
    """Three feature tables; the log of the first has a type that JVM Spark writes and delta-rs refuses."""
    store = LocalFeatureStore(open_session, Warehouse(tmp_path))
    for name in ("odd", "orders", "visits"):
        write(store, name, "client known_at sum", [(1, day(1), 10)], keys=["client"])
    for log in (tmp_path / "gold" / "odd" / "_delta_log").glob("*.json"):
        text = log.read_text(encoding="utf-8")
        log.write_text(text.replace('\\"long\\"', '\\"string collate UTF8_BINARY\\"'), encoding="utf-8")
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", str(tmp_path))
    return store


def test_the_others_are_listed_and_the_unreadable_one_is_named(store: LocalFeatureStore) -> None:
    result = CliRunner().invoke(features.main, [])
    assert isinstance(result.exception, TablesLeftOut)
    assert result.exception.failed == f"1 table of the warehouse cannot be read:\n  {SENTENCE}"
    assert "dbt build --full-refresh --select odd" in (result.exception.hint or "")
    with pytest.raises(TableNotFound, match=r"gold\.odd cannot be read"):
        store.tables()
    assert [table.name for table in store.tables(lambda *_: None)] == ["gold.orders", "gold.visits"]


@pytest.mark.parametrize("names", [[], ["gold.odd", "gold.orders", "gold.missing", "gold.visits"]])
def test_the_others_are_published_and_the_unreadable_one_is_named(store: LocalFeatureStore, names: list[str]) -> None:
    result = CliRunner().invoke(publish.main, ["--online", *names])
    assert isinstance(result.exception, TablesLeftOut)
    failed = result.exception.failed
    assert SENTENCE in failed
    assert ("gold.missing is not in the warehouse" in failed) == ("gold.missing" in names)
    assert "backtrace" not in failed.lower()
    assert result.exit_code == 1
    assert (store.warehouse.root / ".online").is_dir()
    assert [store.publish(name).rows for name in ("gold.orders", "gold.visits")] == [1, 1]


def test_a_table_with_texts_is_left_out_of_all_tables_and_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = LocalFeatureStore(open_session, Warehouse(tmp_path))
    write(store, "orders", "client known_at sum", [(1, day(1), 10)], keys=["client"])
    columns = "client known_at note length"
    write(store, "notes", columns, [(1, day(1), "good", 4)], keys=["client"], types={"note": pa.string()})
    monkeypatch.setenv("LAKEHOUSE_WAREHOUSE", str(tmp_path))
    publish.main(["--online"], standalone_mode=False)
    assert (
        "gold.notes is not published: an online table holds numbers, and there are texts in note"
        in capsys.readouterr().out
    )
    result = CliRunner().invoke(publish.main, ["--online", "gold.orders", "gold.notes"])
    assert isinstance(result.exception, TablesLeftOut)
    assert "1 table could not be published:\n  gold.notes is not published" in result.exception.failed
    assert store.publish("gold.orders").rows == 1
