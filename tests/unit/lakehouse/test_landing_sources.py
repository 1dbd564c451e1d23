"""Sources with types of their own: rows of the declared columns, or a refusal that names source and column."""

import json
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from lakehouse.errors import LakehouseError
from lakehouse.landing.sources.declaration import LandingSource
from lakehouse.landing.sources.reading import source_rows

ROWS: list[dict[str, Any]] = [
    {"id": 1, "name": "Köln", "weight": 1.5, "sold": date(2024, 1, 2), "at": datetime(2024, 1, 2, 3, tzinfo=UTC)},
    {"id": 2, "name": None, "weight": None, "sold": None, "at": None},
]
COLUMNS = {"id": "bigint", "name": "string", "weight": "double", "sold": "date", "at": "timestamp"}


def rows(folder: Path, **declared: Any) -> list[dict[str, Any]]:
    source = LandingSource.of("raw", {"columns": COLUMNS, **declared})
    return [row for part in source_rows(source, folder) for row in part.to_pylist()]


def refusal(folder: Path, **declared: Any) -> str:
    with pytest.raises(LakehouseError) as refused:
        rows(folder, **declared)
    return str(refused.value)


def numbered(*found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**row, "row_number": number} for number, row in enumerate(found, 1)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    table = pa.Table.from_pylist(ROWS)
    (tmp_path / "parts" / "year=2024").mkdir(parents=True)
    pq.write_table(table.slice(0, 1), tmp_path / "one.parquet")
    pq.write_table(table.slice(0, 1), tmp_path / "parts" / "a.parquet")
    pq.write_table(table.slice(1), tmp_path / "parts" / "b.parquet")
    write_deltalake(str(tmp_path / "delta"), table)
    lines = [json.dumps(row, default=str) for row in ROWS]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    book = openpyxl.Workbook()
    book.active.append(["Report"])
    book.active.append([*ROWS[0], None])
    for row in ROWS:
        values = [value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row.values()]
        book.active.append(values)
    book.save(tmp_path / "rows.xlsx")
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("create table items (id integer primary key, name text, weight real, sold date, at timestamp)")
    connection.execute("insert into items values (2, null, null, null, null)")
    connection.execute("insert into items values (1, 'Köln', 1.5, '2024-01-02', '2024-01-02 03:00:00.000000')")
    connection.commit()
    connection.close()
    return tmp_path


@pytest.mark.parametrize(
    "place",
    [
        {"format": "parquet", "path": "parts"},
        {"format": "parquet", "path": "parts/*.parquet"},
        {"format": "delta", "path": "delta"},
        {"format": "json_lines", "path": "rows.jsonl"},
        {"format": "excel", "path": "rows.xlsx", "skip_rows": 1},
        {"format": "database", "url": "sqlite:///{folder}/shop.db", "table": "items"},
    ],
    ids=lambda place: f"{place['format']} {place.get('path')}",
)
def test_each_format_has_the_declared_columns_and_types(shop: Path, place: dict[str, Any]) -> None:
    if "url" in place:
        place = {**place, "url": place["url"].format(folder=shop)}
    if place["format"] in {"json_lines", "database"}:
        found = rows(shop, **place)
        assert sorted(row["row_number"] for row in found) == [1, 2]
        assert sorted(found, key=lambda row: row["id"]) == numbered(*ROWS)
    else:
        assert rows(shop, **place) == numbered(*ROWS)


def test_names_and_ignored_columns(shop: Path) -> None:
    declared = {"format": "parquet", "path": "one.parquet", "columns": {"item": "string"}, "names": {"item": "id"}}
    assert rows(shop, **declared, ignored=["name", "weight", "sold", "at"]) == [{"item": "1", "row_number": 1}]


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"columns": {**COLUMNS, "size": "double"}}, "missing ['size'], not declared none"),
        ({"columns": {"id": "bigint"}, "ignored": ["name"]}, "not declared ['at', 'sold', 'weight']"),
        ({"columns": {**COLUMNS, "name": "double"}}, "the column name of the source one.parquet is not a number"),
        ({"path": "nothing.parquet"}, "does not exist"),
        ({"path": "rows.jsonl"}, "cannot be read"),
        ({"format": "delta", "path": "parts"}, "cannot be read"),
        ({"format": "excel", "path": "rows.xlsx", "sheet": "Shete"}, "Did you mean 'Sheet'?"),
        ({"format": "excel", "path": "rows.jsonl"}, "cannot be read"),
        ({"formt": "excel"}, "formt: no such option. Did you mean 'format'?"),
        ({"sheet": "Sheet"}, "`sheet`, `skip_rows` and `skip_last_rows` are for format: excel"),
        (
            {"format": "database", "path": None, "url": "sqlite:///x.db"},
            "a database needs `table`, and `url`",
        ),
        (
            {"format": "database", "path": None, "url": "postgresql://me:s3cret@host/x", "table": "t"},
            "url: it has a password, which dbt would write to its logs: name a `url_variable`",
        ),
        (
            {"format": "database", "path": None, "url_variable": "NO_SUCH_URL", "table": "t"},
            "the table t of the database cannot be read: the environment variable NO_SUCH_URL is not set",
        ),
        ({"format": "database", "path": None, "url": "nothing://x", "table": "t"}, "no driver for databases"),
    ],
)
def test_a_source_that_is_not_as_declared_is_refused(shop: Path, declared: dict[str, Any], problem: str) -> None:
    assert problem in refusal(shop, **({"format": "parquet", "path": "one.parquet"} | declared))


@pytest.mark.parametrize("place", [{"path": "one.parquet"}, {"path": "parts"}, {"path": "parts/*.parquet"}])
def test_a_broken_parquet_file_is_named_wherever_it_is_broken(shop: Path, place: dict[str, Any]) -> None:
    file = shop / "one.parquet" if place["path"] == "one.parquet" else shop / "parts" / "b.parquet"
    whole = file.read_bytes()
    file.write_bytes(b"no Parquet file")
    found = refusal(shop, format="parquet", **place)
    assert str(file) in found and "cannot be read: Parquet magic bytes not found in footer" in found
    file.write_bytes(whole[:4] + bytes(len(whole[4:300])) + whole[300:])
    assert "cannot be read: " in refusal(shop, format="parquet", **place)


def test_a_delta_table_that_lacks_a_file_is_refused(shop: Path) -> None:
    for file in (shop / "delta").glob("*.parquet"):
        file.unlink()
    assert "delta cannot be read: " in refusal(shop, format="delta", path="delta")


def test_the_nearest_table_is_named(shop: Path) -> None:
    place = {"format": "database", "url": f"sqlite:///{shop}/shop.db", "table": "item"}
    assert "Did you mean 'items'?" in refusal(shop, **place)


NESTED = [
    {"id": 1, "buyer": {"age": 30, "address": {"zip": "50667"}}, "tags": ["a"]},
    {"id": 2, "buyer": None, "tags": None},
    {"id": 3, "buyer": {"age": None, "address": None}, "tags": []},
]
FIELDS: dict[str, Any] = {
    "columns": {"id": "bigint", "age": "bigint", "zip": "string"},
    "names": {"age": "buyer.age", "zip": "buyer.address.zip"},
    "ignored": ["tags"],
}


def nested(folder: Path, kind: str) -> dict[str, str]:
    """The place of a source of a kind with rows that have objects."""
    place = folder / kind
    if kind == "json_lines":
        place.write_text("\n".join(map(json.dumps, NESTED)), encoding="utf-8")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(NESTED), place)
    else:
        write_deltalake(str(place), pa.Table.from_pylist(NESTED))
    return {"format": kind, "path": str(place)}


@pytest.mark.parametrize("kind", ["json_lines", "parquet", "delta"])
def test_fields_of_objects_are_columns(tmp_path: Path, kind: str) -> None:
    place = nested(tmp_path, kind)
    assert rows(tmp_path, **place, **FIELDS) == numbered(
        {"id": 1, "age": 30, "zip": "50667"}, {"id": 2, "age": None, "zip": None}, {"id": 3, "age": None, "zip": None}
    )
    said = refusal(tmp_path, **place, **{**FIELDS, "columns": {"id": "bigint"}, "names": {}})
    assert "not declared ['buyer.address.zip', 'buyer.age']" in said


@pytest.mark.parametrize("kind", ["json_lines", "parquet", "delta"])
def test_an_object_that_is_ignored_may_have_any_fields(tmp_path: Path, kind: str) -> None:
    place = nested(tmp_path, kind)
    assert rows(tmp_path, **place, columns={"id": "bigint"}, ignored=["tags", "buyer"]) == numbered(
        {"id": 1}, {"id": 2}, {"id": 3}
    )


def test_json_of_numbers_and_texts_has_texts_without_quotes(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"size": 38, "of": {"cut": 1}}\n{"size": "S", "of": {"cut": "slim"}}\n')
    place = {"format": "json_lines", "path": "rows.jsonl"}
    assert rows(tmp_path, **place, columns={"size": "string", "cut": "string"}, names={"cut": "of.cut"}) == numbered(
        {"size": "38", "cut": "1"}, {"size": "S", "cut": "slim"}
    )
    (tmp_path / "rows.jsonl").write_text('{"size": 38}\n{"size": {"eu": 38}}\n')
    assert "size" in refusal(tmp_path, **place, columns={"size": "bigint"})
