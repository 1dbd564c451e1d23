"""Executes the page "Bring your own data" in a checkout: runs its commands, and compares the files that it shows."""

import csv
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

from lakehouse.settings import PROJECT
from tests.checkout import Checkout
from tests.docs.typed_commands import BEGINS, command_of

PAGE = (PROJECT / "docs" / "bring_your_own_data.md").read_text(encoding="utf-8")
TUTORIAL = (PROJECT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A file block has its path on the line above; a `bash` block holds commands to type.
BLOCK = re.compile(r"(?:^`(?P<path>[\w./]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = list(BLOCK.finditer(PAGE))
LEFT_OUT = re.compile(r"^ *\.\.\.\n", re.MULTILINE)
# A person gives it a minute and all families.
BRIEFLY = "--minutes 0.05 --families logistic_regression"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    fresh = Checkout.below(tmp_path)
    shutil.copytree(PROJECT / "docs" / "wine", fresh.root / "docs" / "wine")
    yield fresh
    fresh.run("deployment.run", "stop")


def commands_of_the_page() -> list[str]:
    return [line for block in BLOCKS if block["kind"] == "bash" for line in block["text"].splitlines()]


def meaning(line: str) -> tuple[str | None, ...]:
    """The name of the command, with its arguments."""
    command, arguments = command_of(shlex.split(line))
    return command.name, command.help, *arguments


def test_the_page_leads_from_a_file_to_a_prediction(checkout: Checkout) -> None:
    """Runs the commands of the tutorial, which are those of the page by their short names."""
    typed = [line for block in BLOCK.finditer(TUTORIAL) for line in block["text"].splitlines() if BEGINS.match(line)]
    assert {meaning(line) for line in commands_of_the_page()} <= {meaning(line) for line in typed}
    printed = ""
    for line in typed:
        printed += checkout.type_line(
            line, {"--target cultivar": f"--target cultivar {BRIEFLY}"} if "init" in line else {}
        )
    assert "Nothing was written (--check)" in printed
    assert "version 1 is the challenger" in printed
    assert "Version 1 is the champion" in printed
    answer = json.loads(printed.partition("> Response\n")[2].partition("\n> ")[0])["predictions"][0]
    shown = next(json.loads(block["text"]) for block in BLOCKS if block["kind"] == "json")
    assert list(answer) == list(shown)
    assert answer["label"] == shown["label"] == "class_0"
    assert (checkout.root / "reports" / "wine" / "version-1.html").is_file()
    assert checkout.run("deployment.run", "status").count("wine") == 0
    written = [block for block in BLOCKS if block["path"]]
    assert len(written) > 5
    for block in written:
        file = (checkout.root / block["path"]).read_text(encoding="utf-8")
        for part in LEFT_OUT.split(block["text"]):
            assert part in file, f"{block['path']} is not as the page shows it"


def test_the_page_needs_no_python_code() -> None:
    kinds = [block["kind"] for block in BLOCKS]
    assert len(kinds) > 10
    assert set(kinds) == {"bash", "sql", "yaml", "json"}


def test_the_csv_file_equals_the_wine_data_of_scikit_learn() -> None:
    wine = load_wine()
    with (PROJECT / "docs" / "wine" / "wine.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        *(name.partition("/")[0] for name in wine.feature_names[:11]),
        "od280_od315",
        "proline",
        "cultivar",
    ]
    assert [[float(value) for value in row[:-1]] for row in rows] == wine.data.tolist()
    assert [row[-1] for row in rows] == [wine.target_names[target] for target in wine.target]
