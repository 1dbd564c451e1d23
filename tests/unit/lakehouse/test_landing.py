"""Landing files: read completely, or refused with the line of the error."""

import gzip
from pathlib import Path

import pytest

from lakehouse.landing.errors import LandingFileMissing, LandingFileRefused
from tests.unit.landed import landed, read, values

GOOD = 'age;job\n30;"admin."\n41;"blue;collar"\n'


def test_every_value_is_text_and_rows_are_numbered_in_file_order(tmp_path: Path) -> None:
    rows = read(landed(tmp_path, GOOD))
    assert rows.to_pylist() == [
        {"age": "30", "job": "admin.", "row_number": 1},
        {"age": "41", "job": "blue;collar", "row_number": 2},
    ]


def test_an_empty_field_is_the_empty_text(tmp_path: Path) -> None:
    assert read(landed(tmp_path, "age;job\n30;\n")).to_pylist()[0]["job"] == ""


def test_gzip_is_detected_by_extension(tmp_path: Path) -> None:
    path = landed(tmp_path, gzip.compress(GOOD.encode()), "file.csv.gz")
    assert read(path).num_rows == 2


def test_a_delimiter_or_a_line_end_within_quotes_is_part_of_the_value(tmp_path: Path) -> None:
    rows = read(landed(tmp_path, 'age;job\n30;"a;\nb"\n31;"say ""c"""\n'))
    assert rows["job"].to_pylist() == ["a;\nb", 'say "c"']
    assert rows["row_number"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        pytest.param("age;job\r\n30;a\r\n", ["a"], id="line ends of Windows"),
        pytest.param("\ufeffage;job\n30;a\n", ["a"], id="byte order mark"),
        pytest.param("age;job\n30;a", ["a"], id="no last line end"),
        pytest.param("age;job\nNA;null\n", ["null"], id="texts that look like NULL"),
        pytest.param("age;job\n007;1.50\n", ["1.50"], id="texts that look like numbers"),
        pytest.param('age;job\n30;5" nails\n', ['5" nails'], id="a quote within a value"),
        pytest.param("age;job\n30; a \n", [" a "], id="blanks around"),
    ],
)
def test_values_are_not_converted(tmp_path: Path, text: str, jobs: list[str]) -> None:
    assert values(landed(tmp_path, text)) == jobs


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LandingFileMissing, match=r"nowhere\.csv does not exist"):
        read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("age,job\n30,x\n", "does not split at ';'", id="delimiter"),
        pytest.param('"age","job"\n"30","x"\n', "does not split at ';'", id="delimiter behind quotes"),
        pytest.param("age\n30\n", "missing \\['job'\\]|does not split", id="missing column"),
        pytest.param("age;job;x\n30;a;b\n", "not declared \\['x'\\]", id="extra column"),
        pytest.param("job;age\na;30\n", "found \\['job', 'age'\\]", id="order of columns"),
        pytest.param("age;town\n30;a\n", "missing \\['job'\\], not declared \\['town'\\]", id="another column"),
        pytest.param("age;age\n30;a\n", "missing \\['job'\\].*found \\['age', 'age'\\]", id="a column twice"),
        pytest.param("age;job\n30;a\n31\n32;b\n", "line 3 has 1 of 2 fields: '31'", id="too few fields"),
        pytest.param("age;job\n30;a;z\n", "line 2 has 3 of 2 fields: '30;a;z'", id="too many fields"),
        pytest.param("age;job\r\n30;a\r\n31\r\n", "line 3 has 1 of 2 fields: '31'", id="line ends of Windows"),
        pytest.param('age;job\n30;"x;y";z\n', "line 2 has 3 of 2 fields", id="quoted delimiter in a long row"),
        pytest.param("age;job\n1\n2\n3\n4\n", "4 rows .*line 4 has 1 of 2 fields: '3'\n", id="three are shown"),
        pytest.param("age;job\n", "a header and no rows", id="no rows"),
        pytest.param("age;job", "a header and no rows", id="no line end"),
        pytest.param("", "cannot be read", id="empty"),
    ],
)
def test_a_file_that_differs_from_its_declaration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LandingFileRefused, match=message):
        read(landed(tmp_path, text))


WHOLE = gzip.compress(GOOD.encode() * 1000)


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(WHOLE[: len(WHOLE) // 2], id="cut off"),
        pytest.param(GOOD.encode(), id="not compressed"),
        pytest.param(b"", id="empty"),
        pytest.param(WHOLE + b"more", id="something behind it"),
    ],
)
def test_a_broken_archive_is_refused(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(LandingFileRefused, match=r"file\.csv\.gz cannot be read"):
        read(landed(tmp_path, archive, "file.csv.gz"))


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        LandingFileRefused, match=r"cannot be read as utf-8: byte 15 \(line 2\) is 0xe9.*\n.*encoding"
    ):
        read(landed(tmp_path, "age;job\n30;caf\xe9\n".encode("latin-1")))


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_the_line_number_is_right_far_into_a_file(tmp_path: Path, ending: str) -> None:
    lines = ["age;job", *(f"{i};{'x' * 60}" for i in range(40_000)), "short", "1;b", ""]
    text = "\n".join(lines).encode()  # more than the two blocks that the parser reads at once
    path = landed(tmp_path, gzip.compress(text, 1) if ending == "csv.gz" else text, f"file.{ending}")
    with pytest.raises(LandingFileRefused, match="line 40002 has 1 of 2 fields: 'short'"):
        read(path)


def test_line_ends_within_quotes_are_read_in_a_file_of_any_size(tmp_path: Path) -> None:
    value = f"{'x' * 30}\n{'y' * 30}"
    text = "age;job\n" + f'30;"{value}"\n' * 40_000
    assert read(landed(tmp_path, text))["job"].unique().to_pylist() == [value]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("age;job\n30;a\n\n31\n", 4, id="after a blank line"),
        pytest.param('age;job\n30;"a\nb"\n31\n', 4, id="after a line end within quotes"),
    ],
)
def test_the_line_number_counts_lines_and_not_records(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(LandingFileRefused) as refused:
        read(landed(tmp_path, text))
    assert f"line {line} has 1 of 2 fields" in str(refused.value)


def test_an_unclosed_quote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LandingFileRefused):
        read(landed(tmp_path, 'age;job\n30;"a\n31;b\n32;c\n'))


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LandingFileMissing, match="LAKEHOUSE_LANDING"):
        read(tmp_path)


@pytest.mark.parametrize(("content", "name"), [(b"\n", "file.csv"), (b"", "file.csv"), (WHOLE[:-9], "file.csv.gz")])
def test_a_read_error_names_the_file_and_keeps_the_cause(tmp_path: Path, content: bytes, name: str) -> None:
    path = landed(tmp_path, content, name)
    with pytest.raises(LandingFileRefused) as refused:
        read(path)
    assert refused.value.failed.startswith(f"the landing file {path} cannot be read: ")
    assert refused.value.__cause__ is not None
