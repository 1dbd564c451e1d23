"""Every command that a page shows in a block is typed in a test, as the page has it.

A test types a line with `type_line` or `start_line`, and says there which words of it stand for something else: a
name, a folder, or a size that would take too long. This module looks for the lines in the tests' source, so a new
command on a page fails here until a test types it.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from lakehouse.settings import PROJECT
from tests.docs.test_site import PAGES

# `test_bring_your_own_data.py` types each line of these pages, and CI runs `make demo`, whose lines the README shows.
TYPED_WHOLE = {"docs/tutorial.md", "docs/bring_your_own_data.md"}
TORCH = "PyTorch, so a test of its own: `make test-torch` runs the whole life of networks on small rows"
NEEDS_MORE = {
    "python -m training.run --use-case water_flow_by_networks": TORCH,
    "python -m deployment.run promote --use-case water_flow_by_networks": TORCH,
    "python -m training.publish --online gold.water_flow_history_features": TORCH,
    "python -m deployment.run serve --use-case water_flow_by_networks --detach": TORCH,
    "python -m deployment.run doctor --target databricks --online": "a workspace; tests/unit/doctor has stand-ins",
}
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(
    r"(?:\$ )?((?:[A-Z_]+=\S+ )*(?:python -m (?:lakehouse|training|deployment|simulation)\.|lakehouse |dbt )\S.*)"
)


def demo() -> set[str]:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"\$\(call show,([^)]*)\)", makefile.partition("\ndemo: ")[2].partition("\n\n")[0]))


def shown() -> Iterator[tuple[str, str]]:
    """Page and command of each line in a block that a person may type."""
    for page in PAGES:
        name = page.relative_to(PROJECT).as_posix()
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in BLOCK.findall(text):
            for line in re.split(r"\n|&&", block):
                if match := LINE.fullmatch(line.strip()):
                    yield name, re.split(r"\s+#", match[1])[0].strip()


def typed() -> set[str]:
    """Lines that tests type, found in their source."""
    found = set[str]()
    for file in (PROJECT / "tests").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        texts = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and _name(node.func) in {"type_line", "start_line"}:
                line = node.args[0]
                text = line.value if isinstance(line, ast.Constant) else texts.get(_name(line), "")
                found.add(str(text))
    return found - {""}


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


SHOWN = sorted(set(shown()))
TYPED = typed()


def test_the_pages_show_lines_to_type() -> None:
    assert len(SHOWN) > 40
    assert len(TYPED) > 20


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_test_types_the_line_of_a_page(page: str, command: str) -> None:
    assert page in TYPED_WHOLE or command in TYPED | demo() | set(NEEDS_MORE), (
        f"no test types `{command}` of {page}: call type_line of tests/checkout.py or tests/docs/typed_commands.py"
    )


def test_a_line_that_a_test_types_or_cannot_type_is_on_a_page() -> None:
    lines = {command for _, command in SHOWN}
    assert (TYPED | set(NEEDS_MORE)) - lines == set()
