"""The warehouse folder: tables, names and locations, and the check for write access."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.errors import LakehouseError
from lakehouse.tables.warehouse import TableName, TableNotFound, Warehouse, WarehouseUnwritable


def written(root: Path, *names: str) -> Warehouse:
    for name in names:
        table = TableName.parse(name)
        write_deltalake(root / table.schema / table.table, pa.table({"x": [1]}))
    return Warehouse(root)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [("*", ["gold.a", "gold.b", "staging.c"]), ("gold", ["gold.a", "gold.b"]), ("silver", [])],
)
def test_the_tables_of_one_schema_or_of_all_are_listed_by_name(
    tmp_path: Path, schema: str, expected: list[str]
) -> None:
    warehouse = written(tmp_path, "staging.c", "gold.b", "gold.a")
    assert [str(name) for name in warehouse.tables(schema)] == expected


def test_a_warehouse_that_was_never_built_has_no_tables(tmp_path: Path) -> None:
    assert list(Warehouse(tmp_path / "nowhere").tables()) == []


def test_an_interrupted_first_write_is_not_a_table(tmp_path: Path) -> None:
    warehouse = written(tmp_path, "gold.whole")
    log = tmp_path / "gold" / "cut_off" / "_delta_log"
    log.mkdir(parents=True)
    (log / "0.json.tmp").write_text("{}")
    assert [str(name) for name in warehouse.tables()] == ["gold.whole"]


def test_a_table_name_is_written_as_it_is_read() -> None:
    assert str(TableName.parse("gold.client_features")) == "gold.client_features"


def test_a_table_is_in_the_folder_of_its_schema(tmp_path: Path) -> None:
    assert Warehouse(tmp_path).location(TableName("gold", "a")) == tmp_path / "gold" / "a"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "../up", "nul\0", "a b", "caf\xe9", "a%20b"])
def test_an_unsafe_table_or_schema_name_is_refused(tmp_path: Path, name: str) -> None:
    warehouse = Warehouse(tmp_path)
    for lead in (
        lambda: warehouse.folder(name),
        lambda: warehouse.location(TableName(name, "a")),
        lambda: warehouse.location(TableName("gold", name)),
        lambda: warehouse.open(TableName("gold", name)),
    ):
        with pytest.raises(LakehouseError, match="cannot be the name of a schema or table"):
            lead()


@pytest.mark.parametrize(
    ("built", "asked", "message"),
    [
        ([], "gold.a", "gold.a is not in the warehouse. Known: none.\n  Build it: dbt build --select +a"),
        (
            ["gold.clients"],
            "gold.client",
            "Did you mean 'gold.clients'?\n  If it is not built yet: dbt build --select +client",
        ),
        (["gold.b", "gold.a"], "staging.orders", "Known: gold.a, gold.b.\n  Build it: dbt build --select +orders"),
    ],
)
def test_missing_table_error_suggests_name_and_command(
    tmp_path: Path, built: list[str], asked: str, message: str
) -> None:
    with pytest.raises(TableNotFound) as refused:
        written(tmp_path, *built).open(TableName.parse(asked))
    assert str(refused.value).endswith(message)


def test_a_folder_without_a_delta_log_is_not_a_table(tmp_path: Path) -> None:
    (tmp_path / "gold" / "a").mkdir(parents=True)
    with pytest.raises(TableNotFound, match=r"gold\.a is not in the warehouse"):
        Warehouse(tmp_path).open(TableName("gold", "a"))


def test_a_writable_warehouse_is_created_and_stays_empty(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "warehouse"
    Warehouse(root).require_writable()
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_names_the_warehouse_and_the_variable(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseUnwritable) as refused:
        Warehouse(tmp_path / place).require_writable()
    assert str(tmp_path / place) in refused.value.failed
    assert "LAKEHOUSE_WAREHOUSE" in str(refused.value.hint)


@pytest.mark.parametrize("name", ["my projects", "caf\xe9", "100%"])
def test_a_path_that_the_engine_would_encode_is_refused_and_not_created(tmp_path: Path, name: str) -> None:
    with pytest.raises(WarehouseUnwritable) as refused:
        Warehouse(tmp_path / name).require_writable()
    assert str(tmp_path / name) in refused.value.failed
    assert not (tmp_path / name).exists()
