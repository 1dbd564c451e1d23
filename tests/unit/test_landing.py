"""Landing files: read whole, or refused with the row that is wrong."""

import gzip
from pathlib import Path

import pytest

from lakehouse.landing import LandingFileMissing, LandingFileRefused, read_delimited

COLUMNS = ["age", "job"]
GOOD = 'age;job\n30;"admin."\n41;"blue;collar"\n'


def landed(folder: Path, text: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_every_value_is_text_and_rows_are_numbered_in_file_order(tmp_path: Path) -> None:
    rows = read_delimited(landed(tmp_path, GOOD), COLUMNS, ";")
    assert rows.to_pylist() == [
        {"age": "30", "job": "admin.", "row_number": 1},
        {"age": "41", "job": "blue;collar", "row_number": 2},
    ]


def test_an_empty_field_is_the_empty_text(tmp_path: Path) -> None:
    assert read_delimited(landed(tmp_path, "age;job\n30;\n"), COLUMNS, ";").to_pylist()[0]["job"] == ""


def test_gzip_is_read_by_its_ending(tmp_path: Path) -> None:
    path = landed(tmp_path, gzip.compress(GOOD.encode()), "file.csv.gz")
    assert read_delimited(path, COLUMNS, ";").num_rows == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LandingFileMissing, match=r"nowhere\.csv is not there"):
        read_delimited(tmp_path / "nowhere.csv", COLUMNS, ";")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("age,job\n30,x\n", "does not split at ';'", id="delimiter"),
        pytest.param("age\n30\n", "missing \\['job'\\]|does not split", id="missing column"),
        pytest.param("age;job;x\n30;a;b\n", "not declared \\['x'\\]", id="extra column"),
        pytest.param("job;age\na;30\n", "found \\['job', 'age'\\]", id="order of columns"),
        pytest.param("age;job\n30;a\n31\n32;b\n", "line 3 has 1 of 2 fields: '31'", id="too few fields"),
        pytest.param("age;job\n30;a;z\n", "line 2 has 3 of 2 fields: '30;a;z'", id="too many fields"),
        pytest.param("age;job\n", "a header and no rows", id="no rows"),
        pytest.param("", "cannot be read", id="empty"),
    ],
)
def test_a_file_that_is_not_the_declared_one_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(LandingFileRefused, match=told):
        read_delimited(landed(tmp_path, text), COLUMNS, ";")


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(GOOD.encode() * 1000)
    with pytest.raises(LandingFileRefused, match="cannot be read"):
        read_delimited(landed(tmp_path, whole[: len(whole) // 2], "file.csv.gz"), COLUMNS, ";")
