"""Files of many habits: each is read with the right types, or refused with line, byte or the option to pass."""

import csv
import gzip
import io
import sqlite3
import tempfile
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.errors import LakehouseError
from training.init.errors import InitRefused
from training.init.reading.given import GivenTable
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table

MEMORY = "300MB"


def opened(path: Path, **habits: Any) -> GivenTable:
    workspace = Path(tempfile.mkdtemp(dir=path.parent))
    return open_table(str(path), Habits(**habits), workspace, MEMORY)


def table(tmp_path: Path, text: str, encoding: str = "utf-8", name: str = "data.csv", **habits: Any) -> GivenTable:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return opened(path, **habits)


def kinds(given: GivenTable) -> dict[str, str]:
    return {column.name: column.kind for column in given.columns}


def values(given: GivenTable, column: str) -> list[Any]:
    return [row[0] for row in given.connection.execute(f'select "{column}" from rows order by row_number').fetchall()]


def lines(header: str, *rows: str, times: int = 1) -> str:
    return "\n".join([header, *(rows * times)]) + "\n"


GERMAN = lines("Kunde;Größe;Preis;gekauft am", "00123;1,5;1.234,50;31.12.2024", "04567;2,0;7,00;01.02.2024")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_german_export_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    given = table(tmp_path, GERMAN, encoding)
    assert kinds(given) == {"kunde": "string", "groesse": "double", "preis": "double", "gekauft_am": "date"}
    assert values(given, "kunde") == ["00123", "04567"]  # leading zeros
    assert values(given, "preis") == [1234.5, 7.0]
    assert values(given, "gekauft_am") == [date(2024, 12, 31), date(2024, 2, 1)]
    assert given.landing["thousands"] == "."
    assert given.landing["date_format"] == "dd.MM.yyyy"
    assert any("byte 9 (line 1) is 0xf6" in note for note in given.notes) == (encoding == "cp1252")


def test_a_byte_of_no_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n1,x\n2,\x81\xff\n")
    with pytest.raises(InitRefused, match=r"byte 11 \(line 3\) is 0x81"):
        opened(path)
    assert values(opened(path, encoding="cp437"), "a") == [1, 2]
    for encoding, option in (("utf-8", "such as cp1252 .*: --encoding NAME"), ("ascii", "--encoding NAME")):
        with pytest.raises(
            InitRefused, match=rf"byte 11 \(line 3\) is 0x81.*\n  Name the encoding of the file, .*{option}"
        ):
            opened(path, encoding=encoding)
    path.write_bytes("a,b\n1,ä\n".encode())
    with pytest.raises(
        InitRefused, match=r"byte 7 \(line 2\) and all others beyond ASCII.*\n  Pass --encoding utf-8\.$"
    ):
        opened(path, encoding="latin-1")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("ending", [".gz", ".zip"])
def test_the_encoding_of_a_packed_file_is_found(tmp_path: Path, encoding: str, ending: str) -> None:
    path, content = tmp_path / f"sales.csv{ending}", GERMAN.encode(encoding)
    if ending == ".gz":
        path.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("sales.csv", content)
    assert values(opened(path), "preis") == [1234.5, 7.0]


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sales.csv.gz").write_bytes(b"no archive")
    with pytest.raises(InitRefused, match=r"sales\.csv\.gz cannot be read: .*\n  Correct the path"):
        opened(tmp_path / "sales.csv.gz")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    assert kinds(table(tmp_path, "a,b\n1,x\n2,y\n".replace(",", delimiter))) == {"a": "bigint", "b": "string"}


def test_a_ragged_row_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = [f"{number},{number}" for number in range(300)]
    rows[200] = "200,1,2"
    with pytest.raises(InitRefused, match=r"^the file .* has 1 row with the wrong .*: line 202 has 3 of 2 fields"):
        table(tmp_path, lines("a,b", *rows))
    # One of a few rows, where no delimiter cuts most of them alike.
    with pytest.raises(LakehouseError, match=r"2 fields in line 1 and 3 in line 3|line 3 has 3 of 2 fields"):
        table(tmp_path, lines("a,b", "1,2", "1,2,3", "4,5,6"))


def test_preamble_and_footer_are_left_out_and_the_lines_of_errors_stay(tmp_path: Path) -> None:
    text = "Bericht 2024\nStand: heute\n\n" + lines("id;betrag", *(f"{n};{n},5" for n in range(40))) + "Summe;900,5\n"
    given = table(tmp_path, text)
    assert (given.landing["skip_lines"], given.landing["skip_last_lines"]) == (3, 1)
    assert len(values(given, "betrag")) == 40
    with pytest.raises(LakehouseError, match="line 7 has 3 of 2 fields"):
        table(tmp_path, text.replace("2;2,5\n", "2;2;5\n"))


def test_a_value_over_two_lines_is_one_value(tmp_path: Path) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["id", "note"], [1, 'first\nsecond "quoted"'], [2, "plain"]])
    assert values(table(tmp_path, buffer.getvalue()), "note") == ['first\nsecond "quoted"', "plain"]


def test_a_backslash_that_escapes_quotes_far_behind_the_head_is_found(tmp_path: Path) -> None:
    rows = [f'{number},"{"x" * 60}"' for number in range(20_000)]
    rows[19_000] = '19000,"he said \\"x\\", then"'
    given = table(tmp_path, lines("a,b", *rows))
    assert given.landing["escape"] == "\\"
    assert values(given, "b")[19_000] == 'he said "x", then'
    assert any("a backslash escapes quotes" in note for note in given.notes)


def test_lines_of_a_value_that_look_like_rows_are_refused_with_the_option(tmp_path: Path) -> None:
    text = lines("a,b", *(f"{number},x" for number in range(60)), '60,"y\n61,y\n62,y"')
    with pytest.raises(
        InitRefused, match=r"line 62 of the file .*\n  A quote is .* Pass --embedded-rows if the lines are a"
    ):
        table(tmp_path, text)
    assert values(table(tmp_path, text, embedded_rows=True), "b")[60] == "y\n61,y\n62,y"


@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_an_archive_under_another_name_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", "a,b\n1,2\n")
    if kind == "gz":
        path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(
        InitRefused, match=rf"starts like a \.{kind} archive.*\n  Rename it to data\.csv\.{kind}[.,]"
    ) as refused:
        opened(path)
    assert ".yml" not in str(refused.value)


def test_a_text_far_behind_the_sample_makes_the_column_text(tmp_path: Path) -> None:
    rows = [str(number) for number in range(60_000)]
    rows[45_000] = "x"
    given = table(tmp_path, lines("id,b", *(f"{value},1" for value in rows)))
    assert kinds(given)["id"] == "string"
    assert "1 value is no number" in given.columns[0].note


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_longer_than_the_sample_may_have_any_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr("training.init.reading.encoding.SAMPLE", 200)
    given = table(tmp_path, lines("id;price", *(f"{row};{row},5" for row in range(100))).replace("\n", end))
    assert kinds(given) == {"id": "bigint", "price": "double"}
    assert given.rows == 100


def test_words_for_a_missing_value_are_missing(tmp_path: Path) -> None:
    given = table(tmp_path, lines("age,city,flag", "30,NA,yes", "NA,Bonn,no", "-,k.A.,yes"))
    assert values(given, "age") == [30, None, None]
    assert values(given, "city") == [None, "Bonn", None]
    assert given.columns[2].truth == ("yes", "no")
    assert given.landing["missing"] == ["-", "NA", "k.A."]


@pytest.mark.parametrize(
    ("dates", "kind", "first"),
    [
        (["31/12/2024", "01/02/2024"], "date", date(2024, 12, 31)),
        (["12/31/2024", "01/02/2024"], "date", date(2024, 12, 31)),
        (["2024/12/31", "2024/02/01"], "date", date(2024, 12, 31)),
        (["1.2.2024", "31.12.2024"], "date", date(2024, 2, 1)),
        (["31.12.24", "01.02.24"], "date", date(2024, 12, 31)),
        (
            ["12/31/99", "1/2/24"],
            "string",
            "12/31/99",
        ),  # without a word for a date in the name, a version may be meant
        (["31-Dec-24", "01-feb-99"], "date", date(2024, 12, 31)),
        (["1 Dec 2024", "31 Jan 2025"], "date", date(2024, 12, 1)),
        (["31.12.55", "01.02.71"], "string", "31.12.55"),  # born in 1955
        (["31.12.2024 08:05", "01.02.2024 09:00"], "timestamp", datetime(2024, 12, 31, 8, 5)),  # noqa: DTZ001
        (["2024-12-31T08:05:00Z", "2024-02-01T09:00:00+01:00"], "timestamp", datetime(2024, 12, 31, 8, 5)),  # noqa: DTZ001
    ],
)
def test_dates_of_any_order(tmp_path: Path, dates: list[str], kind: str, first: datetime) -> None:
    given = table(tmp_path, lines("id;sold", *(f"{n};{text}" for n, text in enumerate(dates))))
    assert kinds(given)["sold"] == kind
    assert values(given, "sold")[0] == first


def test_an_ambiguous_order_of_dates_is_refused_with_the_option(tmp_path: Path) -> None:
    text = lines("id,sold", "1,01/02/2024", "2,03/04/2024")
    with pytest.raises(InitRefused, match=r"fits two orders.*\n.*--dates dmy: the day is first; --dates mdy"):
        table(tmp_path, text)
    assert values(table(tmp_path, text, dates="dmy"), "sold")[0] == date(2024, 2, 1)
    assert values(table(tmp_path, text, dates="mdy"), "sold")[0] == date(2024, 1, 2)
    # Another column of the file shows the order.
    given = table(tmp_path, lines("id,sold,b", "1,01/02/2024,31/12/2023", "2,03/04/2024,1/1/2023"))
    assert values(given, "sold")[0] == date(2024, 2, 1)


def test_an_ambiguous_comma_is_refused_with_the_option(tmp_path: Path) -> None:
    text = lines("id;x", "1;1,234", "2;5,678")
    with pytest.raises(InitRefused, match="--decimal"):
        table(tmp_path, text)
    assert values(table(tmp_path, text, decimal=","), "x") == [1.234, 5.678]
    assert values(table(tmp_path, text, decimal="."), "x") == [1234, 5678]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("a,b\n", "has a header and no rows"),
        ("1,2\n3,4\n", "has no header: line 1 holds values such as '1'"),
        ("a,b,A\n1,2,3\n", "names a column twice in line 1: a, A"),
        ("just a text\nof two lines\n", "has one column: line 1 is 'just a text'"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InitRefused, match=problem):
        table(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InitRefused, match="does not exist"):
        opened(tmp_path / "nothing.csv")


def test_headers_become_names_of_sql(tmp_path: Path) -> None:
    given = table(tmp_path, lines("Straße (m²),HouseAge,default,,2nd", "a,1,x,3,4"))
    assert [column.name for column in given.columns] == [
        "strasse_m", "house_age", "default_value", "unnamed", "column_2nd",
    ]  # fmt: skip
    assert given.landing["header"] == ["Straße (m²)", "HouseAge", "default", "", "2nd"]


def test_options_and_places_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    table(tmp_path, lines("a,b", "1,x", "2,y"))
    with pytest.raises(InitRefused, match=r"--encoding utf8x is not a known encoding. Did you mean 'utf-8'\?"):
        opened(tmp_path / "data.csv", encoding="utf8x")
    with pytest.raises(InitRefused, match="--memory lots is no amount of memory"):
        open_table(str(tmp_path / "data.csv"), Habits(), tmp_path, "lots")
    with pytest.raises(InitRefused, match="is a folder, with neither Parquet files nor a Delta table"):
        (tmp_path / "empty").mkdir()
        opened(tmp_path / "empty")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("https://example.com/data.csv", "https://example.com/data.csv is the address of a file"),
        ("books/*.XLSX", "names several workbooks"),
        ("shop.duckdb", "is a database of DuckDB"),
        ("blank.csv", "is empty"),
    ],
)
def test_places_that_are_not_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blank.csv").write_bytes(b"\n  \n")
    duckdb.connect(str(tmp_path / "shop.duckdb")).close()
    with pytest.raises(InitRefused, match=problem):
        open_table(given, Habits(), tmp_path, MEMORY)


def test_the_case_of_an_ending_does_not_matter(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"sales-{number}.CSV").write_text("a,b\n1,x\n2,y\n", encoding="utf-8")
    assert opened(tmp_path / "sales-*.CSV").rows == 4
    (tmp_path / "rows.JSONL").write_text('{"a": 1, "b": "x"}\n', encoding="utf-8")
    assert kinds(opened(tmp_path / "rows.JSONL")) == {"a": "bigint", "b": "string"}


def test_numbers_with_a_sign_or_unit_stay_text_and_it_is_said(tmp_path: Path) -> None:
    given = table(tmp_path, lines("id;income;rabatt;plan", '1;"$12,345";5 %;5G', '2;"$900";10 %;4G'))
    notes = {column.name: column.note for column in given.columns}
    assert (
        notes["income"] == notes["rabatt"] == "numbers with a sign or unit stay text: without it they become numbers"
    )
    assert notes["plan"] == ""


def test_the_files_of_a_pattern_are_read_in_order_and_must_be_alike(tmp_path: Path) -> None:
    for month, day in (("01", "31"), ("02", "12")):
        (tmp_path / f"sales-{month}.csv").write_text(f"id;sold on\n{month}1;{day}.{month}.2024\n{month}2;\n")
    given = opened(tmp_path / "sales-*.csv")
    assert values(given, "id") == ["011", "012", "021", "022"]
    assert values(given, "sold_on") == [date(2024, 1, 31), None, date(2024, 2, 12), None]
    assert given.landing["path"] == str(tmp_path / "sales-*.csv")
    assert (given.copied, given.is_delimited) == (None, True)
    assert "2 files, from sales-01.csv to sales-02.csv" in given.notes
    (tmp_path / "sales-03.csv").write_text("id,sold on\n1,2.3.2024\n")
    with pytest.raises(InitRefused, match=r"sales-03.csv differs from sales-01.csv in delimiter: ',', not ';'"):
        opened(tmp_path / "sales-*.csv")
    (tmp_path / "sales-03.csv").write_text("id;sold\n1;2.3.2024\n")
    with pytest.raises(InitRefused, match=r"sales-03.csv differs from sales-01.csv in header"):
        opened(tmp_path / "sales-*.csv")
    with pytest.raises(LakehouseError, match="does not exist"):
        opened(tmp_path / "none-*.csv")


def test_the_table_of_a_workbook_is_found(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "cover"
    book.active.append(["about"])
    page = book.create_sheet("sales")
    for row in [
        ["Sales of 2024"],
        [],
        ["no", "price", "sold"],
        *([n, n / 2, "yes"] for n in range(30)),
        ["Total", 99],
    ]:
        page.append(row)
    book.create_sheet("empty")
    path = tmp_path / "report.xlsx"
    book.save(path)
    given = opened(path)
    assert given.rows == 30
    assert kinds(given) == {"no": "bigint", "price": "double", "sold": "string"}
    assert given.landing == {
        "format": "excel", "path": str(path), "sheet": "sales", "skip_rows": 2, "skip_last_rows": 1,
        "columns": {"no": "bigint", "price": "double", "sold": "string"},
    }  # fmt: skip
    assert given.notes == (
        "the sheet is sales",
        "the header is in row 3; the rows before it are left out",
        "the last row is a sum, and left out",
    )
    book.create_sheet("returns").append(["no", "reason"])
    book.save(path)
    with pytest.raises(InitRefused, match="has several sheets") as refused:
        opened(path)
    assert "--table sales: columns no, price, sold; --table returns: columns no, reason" in str(refused.value)
    assert opened(path, table="sales").rows == 30
    book["returns"].append(["1", "x"])
    book["returns"]["B1"] = "no"
    book.save(path)
    with pytest.raises(LakehouseError, match=r"report\.xlsx names a column twice: no"):
        opened(path, table="returns")


def test_the_tables_of_a_database_are_listed(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("create table orders (id integer, amount real)")
    connection.executemany("insert into orders values (?, ?)", [(row, row / 2) for row in range(60)])
    connection.commit()
    assert opened(tmp_path / "shop.db").rows == 60  # its only table
    connection.execute("create table customers (id integer, name text)")
    connection.execute(
        "create table loose (id integer primary key, age integer, born date, seen datetime, paid bool)"
    )
    loose = [(n, n, f"2024-01-{n + 1:02}", f"2024-01-01 10:00:{n:02}", n % 2) for n in range(20)]
    connection.executemany(
        "insert into loose values (?, ?, ?, ?, ?)", [*loose, (20, "k.A.", "31.12.2024", None, None)]
    )
    connection.commit()
    connection.close()
    given = opened(tmp_path / "shop.db", table="loose")
    assert kinds(given) == {"id": "bigint", "age": "string", "born": "string", "seen": "timestamp", "paid": "boolean"}
    assert values(given, "age")[19:] == ["19", "k.A."]
    assert values(given, "seen")[1] == datetime.fromisoformat("2024-01-01 10:00:01")
    assert values(given, "paid")[:2] == [False, True]
    assert given.columns[1].note == "not every value is an integer of 64 bits: stays text"
    with pytest.raises(InitRefused, match="the database has several tables") as refused:
        opened(tmp_path / "shop.db")
    assert "--table customers: columns id, name; --table loose: columns id, age, born, seen; " in str(refused.value)


DATES: list[dict[str, str | None]] = [
    {"on": "2024-01-31", "at": "2024-01-31T10:00:00", "zoned": "2024-01-31 10:00+02:00", "mixed": "2024-02-01"},
    {"on": None, "at": "2024-02-01 11:30:15.5", "zoned": "2024-01-31T10:00:00Z", "mixed": "2024-02-01 10:00"},
    {"on": "2024-03-01", "at": None, "zoned": None, "mixed": None},
]
TEXTS: dict[str, str | None] = {"no_date": "2024-13-01", "plan": "2024-S"}


@pytest.mark.parametrize("kind", ["sqlite", "parquet"])
def test_texts_that_are_all_dates_or_times_are_read_as_such(tmp_path: Path, kind: str) -> None:
    made = [row | TEXTS for row in DATES]
    path = tmp_path / f"data.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(made), path)
    else:
        with sqlite3.connect(path) as connection:
            columns = ", ".join(f'"{name}" text' for name in made[0])
            connection.execute(f"create table data ({columns})")
            connection.executemany("insert into data values (?, ?, ?, ?, ?, ?)", [[*row.values()] for row in made])
        connection.close()
    given = opened(path)
    assert kinds(given) == {
        "on_value": "date", "at_value": "timestamp", "zoned": "timestamp", "mixed": "timestamp",
        "no_date": "string", "plan": "string",
    }  # fmt: skip
    assert values(given, "on_value") == [date(2024, 1, 31), None, date(2024, 3, 1)]
    assert [*map(str, values(given, "at_value"))] == ["2024-01-31 10:00:00", "2024-02-01 11:30:15.500000", "None"]
    assert [*map(str, values(given, "zoned"))] == ["2024-01-31 08:00:00", "2024-01-31 10:00:00", "None"]
    notes = {column.name: column.note for column in given.columns}
    assert notes["on_value"] == "texts that are all dates"
    assert notes["no_date"] == "not every value is a date: stays text"
