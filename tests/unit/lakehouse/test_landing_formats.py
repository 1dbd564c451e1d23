"""Formats of landing files: read as declared, or refused with the place and the option to set."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.landing import source
from lakehouse.landing.errors import LandingFileRefused
from tests.unit.landed import landed, read, refusal, values

ABC = {"columns": ["id", "name", "amount"], "delimiter": ","}
STRAY = ["id,name,amount", *(f"{i},item {i},{i}" for i in range(1, 1001)), ""]
STRAY[100], STRAY[900] = '100,"19 inch rack,1000', '900,"21 inch rack,9000'
BACKSLASHES = b'id,name,amount\n1,"say \\"hi\\" now",2\n2,"path C:\\\\",3\n3,C:\\new,4\n4,plain,5\n'
GERMAN = "id;name;amount;born\n1;M\u00fcller \u20ac;1.234,50;31.12.2024\n2;Meier;;\n3;Schulz;-7;01.02.1999\n"
DECLARED = {
    "columns": ["id", "name", "amount", "born"],
    "numbers": ["amount"],
    "decimal": ",",
    "thousands": ".",
    "dates": ["born"],
    "date_format": "dd.MM.yyyy",
}


def test_two_stray_quotes_are_refused_with_the_line_of_the_first(tmp_path: Path) -> None:
    message = refusal(landed(tmp_path, "\n".join(STRAY)), **ABC)
    for part in ("line 101 of the landing file", "'100,\"19 inch rack,1000'", "in line 901"):
        assert part in message


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param('1,"x" y,2', ["line 2", "text behind the closing quote"], id="text behind a quote"),
        pytest.param('1,"x" ,2', ["line 2", "behind the closing quote"], id="a blank behind a quote"),
        pytest.param('1,2,3\n"3""4"5,6,7', ["line 3", "behind the closing quote"], id="in the first field"),
        pytest.param('1,2,3\n4,"x\n5,6,7', ["line 3", "never closed", '4,"x'], id="never closed"),
        pytest.param('1,5" nails,2\n3,"x" y,4', ["line 3", "behind"], id="beside a quote within a value"),
        pytest.param('1,"19 inch,2\n3,x,y', ["line 2", "never closed"], id="one stray quote"),
        pytest.param(
            '0,a,b\n1,"19 inch,2\n3,x,y\n4,21 inch",5',
            ["line 3", "3 lines that each look like a row", "'3,x,y'", "embedded_rows"],
            id="lines that look like rows",
        ),
    ],
)
def test_a_lost_quote_is_refused_with_its_line(tmp_path: Path, text: str, messages: list[str]) -> None:
    for ending in ("\n", "\r\n"):
        message = refusal(landed(tmp_path, f"id,name,amount\n{text}\n".replace("\n", ending)), **ABC)
        for part in messages:
            assert part in message


def test_lines_that_look_like_rows_are_a_value_where_that_is_declared(tmp_path: Path) -> None:
    path = landed(tmp_path, 'id,name,amount\n1,"a,2\n3,b",4\n')
    assert values(path, "name", **ABC, embedded_rows=True) == ["a,2\n3,b"]


@given(
    text=st.lists(st.sampled_from(["x", ";", "\n", "\r\n", '"', '""', ';"', '"\n', "\u00fc"]), max_size=12).map(
        "".join
    ),
    block=st.sampled_from([1, 2, 3, 7, 2**20]),
)
def test_quotes_are_read_as_by_pythons_strict_reader(
    tmp_path_factory: pytest.TempPathFactory, text: str, block: int
) -> None:
    text = f"age;job\n{text}"
    try:
        expected = [
            fields for fields in csv.reader(io.StringIO(text, newline=""), delimiter=";", strict=True) if fields
        ]
    except csv.Error:
        expected = []
    if any(len(fields) != 2 for fields in expected):
        expected = []
    path = landed(tmp_path_factory.getbasetemp(), text, "drawn.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BLOCK", block)
        try:
            rows = [[row["age"], row["job"]] for row in read(path, embedded_rows=True).to_pylist()]
        except LandingFileRefused:
            rows = []
    assert rows == expected[1:]


def test_backslashes_before_quotes_are_refused_without_the_option(tmp_path: Path) -> None:
    message = refusal(landed(tmp_path, BACKSLASHES), **ABC)
    assert "line 2" in message
    assert 'Write `escape: "\\\\"` into `landing_file`' in message


def test_backslashes_before_quotes_are_read_with_the_option(tmp_path: Path) -> None:
    assert values(landed(tmp_path, BACKSLASHES), "name", **ABC, escape="\\") == [
        'say "hi" now',
        "path C:\\",
        "C:\\new",
        "plain",
    ]


@given(
    names=st.lists(st.text(alphabet='a";\\\n \u00fc', min_size=1), min_size=1), block=st.sampled_from([1, 3, 2**20])
)
def test_every_text_written_by_spark_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], block: int
) -> None:
    def written(name: str) -> str:
        if not {*'";\n'} & {*name}:
            return name
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    lines = "".join(f"{age};{written(name)}\n" for age, name in enumerate(names))
    path = landed(tmp_path_factory.getbasetemp(), f"age;job\n{lines}", "spark.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BLOCK", block)
        assert values(path, escape="\\", embedded_rows=True) == names


@pytest.mark.parametrize(
    "encoding", ["cp1252", "windows-1252", "iso-8859-15", "utf-16", "utf-16-le", "utf-8", "utf-8-sig", "UTF-8"]
)
@pytest.mark.parametrize("ending", ["csv", "csv.zip"])
def test_a_german_export_is_read_as_declared(tmp_path: Path, encoding: str, ending: str) -> None:
    content = GERMAN.encode(encoding)
    path = landed(tmp_path, zipped(("x.csv", content)) if ending == "csv.zip" else content, f"file.{ending}")
    assert read(path, **DECLARED, encoding=encoding).drop_columns(["row_number"]).to_pylist() == [
        {"id": "1", "name": "M\u00fcller \u20ac", "amount": "1234.50", "born": "2024-12-31"},
        {"id": "2", "name": "Meier", "amount": "", "born": ""},
        {"id": "3", "name": "Schulz", "amount": "-7", "born": "1999-02-01"},
    ]


@pytest.mark.parametrize(
    ("content", "options", "messages"),
    [
        (GERMAN.encode("cp1252"), {}, ["as utf-8: byte 24 (line 2) is 0xfc", "cp1252", "`encoding`"]),
        (GERMAN.encode("utf-16"), {}, ["byte 1 (line 1) is 0xff", "`encoding: utf-16`"]),
        (GERMAN.encode("utf-16-be"), {}, ["byte 1 (line 1) is NUL", "utf-16"]),
        (GERMAN.encode("utf-16-le"), {}, ["byte 2 (line 1) is NUL", "utf-16-le"]),
        (GERMAN.encode("utf-16-le"), {"encoding": "utf-16"}, ["byte 1 (line 1)", "byte order mark"]),
        (GERMAN.encode("utf-16")[:-1], {"encoding": "utf-16"}, ["(line 4)", "truncated data"]),
        (GERMAN.encode(), {"encoding": "cp1252"}, ["byte 24 (line 2) and all others", "`encoding: utf-8`"]),
        (GERMAN.encode("utf-8-sig"), {"encoding": "cp1252"}, ["byte 1 (line 1)", "`encoding: utf-8`"]),
        (GERMAN.encode("cp1252"), {"encoding": "latin-1"}, ["byte 30 (line 2) is 0x80, a control", "cp1252"]),
        (GERMAN.encode("cp1252").replace(b"Meier", b"M\x81"), {"encoding": "cp1252"}, ["(line 3) is 0x81"]),
    ],
)
def test_another_encoding_is_refused_with_the_byte_and_the_option(
    tmp_path: Path, content: bytes, options: dict[str, str], messages: list[str]
) -> None:
    for block in (4, source.BLOCK):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "BLOCK", block)
            message = refusal(landed(tmp_path, content), **(DECLARED | options))
        for part in ["file.csv", *messages]:
            assert part in message


def without(*options: str, **others: Any) -> dict[str, Any]:
    return {name: value for name, value in DECLARED.items() if name not in options} | others


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        (without("numbers", "decimal", "thousands"), GERMAN, "line 2 .* '1.234,50', a number with a decimal comma"),
        (without("dates", "date_format"), GERMAN, r"line 2 .* '31\.12\.2024', a date .* born\n.*`date_format: dd.MM"),
        (without("thousands"), GERMAN, "line 2 .*'1.234,50', which is not a number like 1234,5, in the column amou"),
        (DECLARED, GERMAN.replace("-7", "-7 EUR"), "line 4 .*'-7 EUR', which is not a number like 1.234,5"),
        (DECLARED, GERMAN.replace("1.234,50", "12.34"), "line 2 .*'12.34', which is not a number"),
        (DECLARED, GERMAN.replace("31.12", "31.02"), "line 2 .*'31.02.2024', which is not a date like dd.MM.yyyy"),
        (DECLARED | {"date_format": "MM.dd.yyyy"}, GERMAN, "line 2 .*'31.12.2024', which is not a date"),
        (DECLARED, GERMAN.replace("01.02.1999", "1.2.99"), "line 4 .*'1.2.99', which is not a date"),
    ],
)  # fmt: skip
def test_a_number_or_date_in_another_format_is_refused_with_its_line(
    tmp_path: Path, options: dict[str, Any], text: str, message: str
) -> None:
    with pytest.raises(LandingFileRefused, match=message):
        read(landed(tmp_path, text), **options)


@pytest.mark.parametrize(
    ("texts", "refused"),
    [
        (["12,50", "7", ""], "decimal comma"),
        (["1.234.567", "12"], "groups of thousands"),
        (["1.500", "12", "900"], "groups of thousands"),
        (["1,500", "12"], "groups of thousands"),
        (["1'234.50"], "groups of thousands"),
        (["31.12.2024 14:05"], "a date"),
        (["12/31/2024"], "a date"),
        ([*["9,5"] * 19, "unknown"], "decimal comma"),
        (["1.500", "2.250"], None),
        (["0.125", "12"], None),
        (["1.500", "1234"], None),
        (["1,2,3"], None),
        (["Berlin, Mitte", "7"], None),
        (["2024-12-31"], None),
        (["10.5.2"], None),
        (["", ""], None),
    ],
)
def test_columns_that_look_like_another_format_are_refused_unless_declared_as_texts(
    tmp_path: Path, texts: list[str], refused: str | None
) -> None:
    path = landed(tmp_path, "age;job\n" + "".join(f"1;{text}\n" for text in texts))
    assert values(path, texts=["job"]) == texts
    if refused is None:
        assert values(path) == texts
    else:
        assert refused in refusal(path)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("d.M.yyyy", "1.2.1999", "1999-02-01"),
        ("dd.MM.yyyy HH:mm", "31.12.2024 14:05", "2024-12-31 14:05:00"),
        ("dd/MM/yyyy H:mm:ss", "31/12/2024 4:05:09", "2024-12-31 04:05:09"),
        ("yyyyMMdd", "20240229", "2024-02-29"),
        ("dd.MM.yy", "01.02.68", "2068-02-01"),
        ("MM/dd/yy", "12/31/69", "1969-12-31"),
        ("d-MMM-yyyy", "3-Mar-2024", "2024-03-03"),
        ("dd MMM yy", "03 DEC 99", "1999-12-03"),
        ("d. MMM yyyy", "3. März 2024", "2024-03-03"),
        ("d. MMM yyyy", "3. Sept. 2024", "2024-09-03"),
        ("dd-MMM-yy", "03-Okt-24", "2024-10-03"),
    ],
)
def test_dates_follow_their_pattern(tmp_path: Path, pattern: str, text: str, expected: str) -> None:
    path = landed(tmp_path, f"age;job\n1; {text} \n")
    assert values(path, dates=["job"], date_format=pattern) == [expected]


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({"decimal": ","}, "0,1234567890123456789", "0.1234567890123456789"),
        ({"decimal": ",", "thousands": "."}, "1.234.567,5", "1234567.5"),
        ({"decimal": ",", "thousands": "."}, "1234567,5", "1234567.5"),
        ({"decimal": ",", "thousands": "\u202f"}, "1\u202f234,5", "1234.5"),
        ({"thousands": "'"}, "1'234.50", "1234.50"),
        ({"decimal": ","}, "1,5E+05", "1.5E+05"),
    ],
)
def test_numbers_lose_no_digit(tmp_path: Path, options: dict[str, str], text: str, expected: str) -> None:
    assert values(landed(tmp_path, f"age;job\n1;{text}\n"), numbers=["job"], **options) == [expected]


def zipped(*files: tuple[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files:
            opened.writestr(name, content)
    return archive.getvalue()


ROWS = b"age;job\n" + b"30;a\n" * 1000


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        pytest.param(zipped(("a.csv", ROWS)), "file.csv", "starts like a .zip archive.*\n.*file.csv.zip", id="name"),
        pytest.param(
            zipped(("a.csv", ROWS), ("b.csv", ROWS)), "file.zip", "one file, and holds.*b.csv", id="two files"
        ),
        pytest.param(zipped(), "file.zip", r"one file, and holds \[\]", id="no file"),
        pytest.param(zipped(("a.csv", ROWS))[:-40], "file.zip", "not a zip file", id="cut off"),
        pytest.param(zipped(("a.csv", ROWS)).replace(ROWS[:1], b"\0", 1), "file.zip", "cannot be read", id="damaged"),
        pytest.param(ROWS, "file.zip", "not a zip file", id="not compressed"),
    ],
)
def test_another_archive_than_its_name_says_is_refused(
    tmp_path: Path, content: bytes, name: str, message: str
) -> None:
    with pytest.raises(LandingFileRefused, match=message):
        read(landed(tmp_path, content, name))


def test_a_zip_archive_from_a_mac_is_read(tmp_path: Path) -> None:
    archive = zipped(("a/", b""), ("a/a.csv", ROWS), ("__MACOSX/a/._a.csv", b"x"))
    assert read(landed(tmp_path, archive, "file.zip")).num_rows == 1000


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_field_of_any_size_is_read(tmp_path: Path, quote: str) -> None:
    long = "x" * (2 * source.BLOCK + 7)
    path = landed(tmp_path, f"age;job\n1;{quote}{long}{quote}\n2;b\n")
    assert values(path) == [long, "b"]


@pytest.mark.parametrize(("text", "line"), [("a\n1\n\n3\n", 3), ("a\n1\n\n", 3), ("a\r\n\r\n1\r\n", 2)])
def test_a_blank_row_of_a_single_column_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    message = refusal(landed(tmp_path, text), columns=["a"])
    assert f"line {line} of the landing file" in message
    assert 'Write ""' in message


def test_quotes_mark_an_empty_value_of_a_single_column(tmp_path: Path) -> None:
    assert values(landed(tmp_path, 'a\n1\n""\n3\n'), "a", columns=["a"]) == ["1", "", "3"]


def test_columns_may_have_other_names_than_in_the_file(tmp_path: Path) -> None:
    path = landed(tmp_path, "row_number;name;name;\n7;a;b;c\n")
    columns = ["line", "name", "name_2", "unnamed"]
    rows = read(path, columns=columns, header=["row_number", "name", "name", ""])
    assert rows.to_pylist() == [{"line": "7", "name": "a", "name_2": "b", "unnamed": "c", "row_number": 1}]


def test_the_line_of_a_value_is_right_far_into_a_file(tmp_path: Path) -> None:
    text = "age;job\n\n" + '1;"a\nb"\n' * 40 + "x;12,50\n" * 400
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "BLOCK", 50)
        assert "line 83 of the landing file" in refusal(landed(tmp_path, text))


def test_the_schema_does_not_depend_on_the_rows(tmp_path: Path) -> None:
    rows = read(landed(tmp_path, GERMAN), **DECLARED)
    assert rows.schema.types == [pa.string()] * 4 + [pa.int64()]
