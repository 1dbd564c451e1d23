"""Lines around a table, words for missing values, a date pattern for each column, and several files by a pattern."""

from pathlib import Path

import pytest

from lakehouse.landing.errors import LandingFileMissing, LandingOptionsRefused
from tests.unit.landed import landed, read, refusal, values

SALES = {"columns": ["id", "amount", "sold", "paid"], "numbers": ["amount"], "decimal": ","}
DATES = {"sold": "dd.MM.yyyy", "paid": "d/M/yyyy HH:mm"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_before_and_after_the_table_are_skipped(tmp_path: Path, end: str) -> None:
    lines = ["Report", "", "id;amount;sold;paid", "1;2,5;31.12.2024;1/2/2025 08:00", "2;k.A.;;-", "Sum;2,5", ""]
    path = landed(tmp_path, end.join(lines))
    options = {**SALES, "dates": DATES, "missing": ["k.A.", "-"], "skip_lines": 2, "skip_last_lines": 1}
    assert values(path, "amount", **options) == ["2.5", ""]
    assert values(path, "sold", **options) == ["2024-12-31", ""]
    assert values(path, "paid", **options) == ["2025-02-01 08:00:00", ""]
    assert "'k.A.', which is not a number" in refusal(path, **(options | {"missing": ["-"]}))
    assert "line 4 of the landing file" in refusal(path, **(options | {"dates": {**DATES, "sold": "yyyy-MM-dd"}}))


def test_blocks_smaller_than_the_lines_are_skipped_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.landing.source.BLOCK", 7)
    rows = "".join(f"{n};{n},5;;\r\n" for n in range(30))
    path = landed(tmp_path, f"Report of all sales\r\n\r\nid;amount;sold;paid\r\n{rows}Sum;x\r\nEnd\r\n")
    found = values(path, "amount", **SALES, skip_lines=2, skip_last_lines=2)
    assert found == [f"{n}.5" for n in range(30)]


def test_files_of_a_pattern_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, ages in (("b.csv", (3,)), ("a.csv", (1, 2)), (".hidden.csv", (9,)), ("c.txt", (9,))):
        landed(tmp_path, "age;job\n" + "".join(f"{age};x\n" for age in ages), name)
    rows = read(tmp_path / "*.csv")
    assert rows.column("age").to_pylist() == ["1", "2", "3"]
    assert rows.column("row_number").to_pylist() == [1, 2, 3]
    landed(tmp_path, "age;work\n1;x\n", "b.csv")
    assert "header of the landing file" in refusal(tmp_path / "*.csv")
    with pytest.raises(LandingFileMissing):
        read(tmp_path / "*.tsv")


def test_a_pattern_for_each_column_excludes_one_for_all(tmp_path: Path) -> None:
    path = landed(tmp_path, "id;amount;sold;paid\n")
    with pytest.raises(LandingOptionsRefused, match="remove `date_format`"):
        read(path, **SALES, dates=DATES, date_format="dd.MM.yyyy")
    with pytest.raises(LandingOptionsRefused, match="must be made of d, dd"):
        read(path, **SALES, dates={"sold": "dd.mm.yyyy"})
