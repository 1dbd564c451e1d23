"""The rules of the house that figures can show, on the real code and on planted offences."""

import re
from pathlib import Path

import pytest

from benchmarks import code_shape
from lakehouse.settings import PROJECT

MODULES = code_shape.modules(PROJECT)
MOST_MODULES = 14  # of a folder


def planted(tmp_path: Path, **sources: str) -> list[code_shape.Module]:
    """Modules of the package `lakehouse` in an empty checkout."""
    (tmp_path / "lakehouse").mkdir()
    for name, source in sources.items():
        (tmp_path / "lakehouse" / f"{name}.py").write_text(source, encoding="utf-8")
    return code_shape.modules(tmp_path)


def test_no_folder_is_too_full() -> None:
    full = {folder: count for folder, count in code_shape.modules_per_folder(MODULES).items() if count > MOST_MODULES}
    assert full == {}


def test_no_import_cycles() -> None:
    assert code_shape.circle(MODULES) == []


def test_no_two_public_types_share_a_name() -> None:
    assert code_shape.shared_types(MODULES) == {}


def test_docstrings_open_with_a_noun_or_a_verb() -> None:
    assert code_shape.clause_openers(MODULES) == []


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (code_shape.ENCODINGS, ()),
        # In the last four, the words are column types of Spark and MLflow, and objectives of LightGBM and XGBoost.
        (
            code_shape.TASK_NAMES,
            (
                "scoring.tasks",
                "training.report.tasks",
                "lakehouse.tables.scan",
                "training.frame.lineage",
                "deployment.model_server.models.version_schema",
                "training.registry.tree_readers",
            ),
        ),
        (code_shape.HOMES, ("lakehouse.home",)),
    ],
    ids=["encodings", "tasks", "homes"],
)
def test_each_kind_is_told_apart_in_one_place(pattern: re.Pattern[str], allowed: tuple[str, ...]) -> None:
    elsewhere = [module.name for module in MODULES if pattern.search(module.source)]
    assert [name for name in elsewhere if not name.startswith(allowed or ("-",))] == []


def test_an_import_cycle_through_a_lazy_import_is_found(tmp_path: Path) -> None:
    found = planted(
        tmp_path,
        first="from lakehouse import second\n",
        second="def late() -> None:\n    from lakehouse.first import x\n",
    )
    assert set(code_shape.circle(found)) == {"lakehouse.first", "lakehouse.second"}


def test_a_shared_type_and_a_clause_are_found(tmp_path: Path) -> None:
    found = planted(tmp_path, one='class Row:\n    """What a row is."""\n', two='"""Rows."""\nRow = list[float]\n')
    assert code_shape.shared_types(found) == {"Row": ["lakehouse.one", "lakehouse.two"]}
    assert code_shape.clause_openers(found) == ["lakehouse.one: What a row is."]


def test_a_full_folder_is_counted_without_its_init(tmp_path: Path) -> None:
    found = planted(tmp_path, __init__='"""A package."""\n', one="", two="")
    assert code_shape.modules_per_folder(found) == {"lakehouse": 2}


def test_words_are_counted_by_sentence(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Title of a page\n\n```\nsome code.\n```\nA short one. And [a link](x.md) in\none of six.\n\n- An item.\n"
    )
    assert code_shape.words_per_sentence([page]) == [3, 7, 2]
