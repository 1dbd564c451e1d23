"""Landing files in a build: rows as declared, or a failed model that names the line and the option."""

import pytest
import yaml

from lakehouse.landing import frame
from lakehouse.settings import PROJECT
from tests.adapter.project import Project

MACRO = PROJECT / "dbt_project" / "macros" / "landing_file.sql"
GERMAN = "id;name;amount;born\n1;M\u00fcller;1.234,50;31.12.2024\n2;O'Neill;;\n"
ROWS = [f"{i},item {i},{i}" for i in range(1, 1001)]
ROWS[99], ROWS[899] = '100,"19 inch rack,1000', '900,"21 inch rack,9000'
FILES = {
    "stray": "\n".join(["id,name,amount", *ROWS]).encode(),
    "backslash": b'id,name,amount\n1,"say \\"hi\\" now",2\n2,"path C:\\\\",3\n',
    "german": GERMAN.encode("cp1252"),
    "utf16": GERMAN.encode("utf-16"),
    "renamed": b"row_number,name,name\n7,a,b\n",
    "long": b"id,name,amount\n1," + b"x" * 5_000_000 + b",2\n",
}
IN_GERMAN = {
    "columns": ["id", "name", "amount", "born"],
    "delimiter": ";",
    "numbers": ["amount"],
    "decimal": ",",
    "thousands": ".",
    "dates": ["born"],
    "date_format": "dd.MM.yyyy",
}
ITEMS = {"columns": ["id", "name", "amount"], "delimiter": ","}
DECLARED = {
    "raw_stray": {"path": "stray.csv", **ITEMS},
    "raw_backslash": {"path": "backslash.csv", **ITEMS},
    "raw_escaped": {"path": "backslash.csv", **ITEMS, "escape": "\\"},
    "raw_german": {"path": "german.csv", **IN_GERMAN, "encoding": "cp1252"},
    "raw_unknown_encoding": {"path": "german.csv", **IN_GERMAN},
    "raw_utf16": {"path": "utf16.csv", **IN_GERMAN, "encoding": "utf-16"},
    "raw_no_utf16": {"path": "utf16.csv", **IN_GERMAN},
    "raw_renamed": {
        "path": "renamed.csv",
        "columns": ["line", "name", "name_2"],
        "header": ["row_number", "name", "name"],
        "delimiter": ",",
    },
    "raw_long": {"path": "long.csv", **ITEMS},
    "raw_twice": {"path": "renamed.csv", "columns": ["line", "name", "name"], "delimiter": ","},
}
TYPED = """
select cast(id as int) as id, name, try_cast(amount as double) as amount, try_cast(born as date) as born
from {{ ref('raw_german') }}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    models = [{"name": name, "config": {"meta": {"landing_file": file}}} for name, file in DECLARED.items()]
    project = Project.below(
        tmp_path_factory.mktemp("landing"),
        {
            "macros/landing_file.sql": MACRO.read_text(encoding="utf-8"),
            **{f"models/{name}.sql": "{{ landing_file() }}" for name in DECLARED},
            "models/typed.sql": TYPED,
            "models/models.yml": yaml.safe_dump({"models": models}),
        },
    )
    for name, content in FILES.items():
        (project.root / f"{name}.csv").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame, "LARGEST_MESSAGE", 4_000_000)  # so that one file is too large for a message
        return project, project.dbt("run", exits=1)


def test_declared_formats_are_built(built: tuple[Project, str]) -> None:
    project, _ = built
    assert [row["name"] for row in project.rows("gold.raw_escaped")] == ['say "hi" now', "path C:\\"]
    german = [
        {"id": "1", "name": "M\u00fcller", "amount": "1234.50", "born": "2024-12-31", "row_number": 1},
        {"id": "2", "name": "O'Neill", "amount": "", "born": "", "row_number": 2},
    ]
    assert project.rows("gold.raw_german") == project.rows("gold.raw_utf16") == german
    assert project.rows("gold.raw_renamed") == [{"line": "7", "name": "a", "name_2": "b", "row_number": 1}]


def test_a_file_too_large_for_a_message_is_built(built: tuple[Project, str]) -> None:
    assert [len(str(row["name"])) for row in built[0].rows("gold.raw_long")] == [5_000_000]


def test_numbers_and_dates_can_be_cast(built: tuple[Project, str]) -> None:
    rows = built[0].rows("gold.typed")
    assert [(row["amount"], str(row["born"])) for row in rows] == [(1234.5, "2024-12-31"), (None, "None")]


def test_other_formats_are_refused_and_build_no_table(built: tuple[Project, str]) -> None:
    project, output = built
    for message in (
        "line 101 of the landing file",
        "'100,\"19 inch rack,1000'",
        "line 2 of the landing file",
        'Write `escape: "\\\\"`',
        "byte 24 (line 2) is 0xfc",
        "`encoding: utf-16`",
        "names a column twice: name, name",
    ):
        assert message in output
    built_tables = {str(name) for name in project.warehouse.tables()}
    refused = {"raw_stray", "raw_backslash", "raw_unknown_encoding", "raw_no_utf16", "raw_twice"}
    assert built_tables == {f"gold.{name}" for name in {*DECLARED, "typed"} - refused}
