"""The documentation: its reference is complete, its links lead somewhere, and each command in it is one that runs.

Here the commands of all pages are parsed by the commands themselves. `test_typed_commands.py` finds the tests that
run them as the pages have them.
"""

import json
import re
from pathlib import Path

import click
import pytest

from deployment.command_line import main
from lakehouse.settings import PROJECT
from resources.site.sources import LINK, write_sources
from scoring.encodings import KINDS
from tests.docs.typed_commands import check, shown_in
from training.use_case.json_schema import schema_text
from training.use_case.promotion import GuardLimits, PromotionCriteria

RUN_ELSEWHERE = {"docs/bring_your_own_data.md"}
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))]
SHOWN = sorted(
    {
        (page.relative_to(PROJECT).as_posix(), command, mentioned)
        for page in PAGES
        if page.relative_to(PROJECT).as_posix() not in RUN_ELSEWHERE
        for command, mentioned in shown_in(page)
    }
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "source"
    write_sources(folder)
    return folder


def test_the_pages_show_many_commands() -> None:
    assert sum(not mentioned for _, _, mentioned in SHOWN) > 30
    assert sum(mentioned for _, _, mentioned in SHOWN) > 40


@pytest.mark.parametrize(("page", "command", "mentioned"), SHOWN)
def test_a_command_on_a_page_is_accepted_by_its_parser(page: str, command: str, mentioned: bool) -> None:
    check(command, mentioned=mentioned)


def test_every_page_is_in_the_navigation_and_every_link_leads_to_a_page(site: Path) -> None:
    pages = {file.relative_to(site).as_posix() for file in site.rglob("*.md")}
    index = (site / "index.md").read_text(encoding="utf-8")
    for page in pages - {"index.md"}:
        assert re.search(rf"(?:^|<){re.escape(page.removesuffix('.md'))}>?$", index, re.MULTILINE), page
    for page in pages:
        for match in LINK.finditer((site / page).read_text(encoding="utf-8")):
            if "://" not in match[2]:
                target = (site / page).parent.joinpath(match[2]).resolve()
                assert target.is_file(), f"{page} links to {match[2]}"


def test_the_reference_lists_every_command_with_every_option(site: Path) -> None:
    text = (site / "reference" / "commands.md").read_text(encoding="utf-8")
    context = click.Context(main)
    for name in main.list_commands(context):
        section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        command = main.get_command(context, name)
        assert command is not None
        assert " ".join((command.help or "").split())[:60] in " ".join(section.split())
        for option in command.params:
            if isinstance(option, click.Option):
                assert f"`{max(option.opts, key=len)}`" in section, f"{name} {option.opts}"


def test_the_reference_lists_every_key_of_a_use_case(site: Path) -> None:
    text = (site / "reference" / "use_case.md").read_text(encoding="utf-8")
    schema = json.loads(schema_text())
    for declaration in (schema, *schema["$defs"].values()):
        assert [key for key in declaration.get("properties", {}) if f"| `{key}` |" not in text] == []
    for part in re.findall(r"\]\(#([a-z_]+)\)", text):
        assert part in {heading.replace(".", "") for heading in re.findall(r"^## (.*)$", text, re.MULTILINE)}


def test_the_reference_lists_every_encoding_and_criterion(site: Path) -> None:
    encodings = (site / "reference" / "encodings.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", encodings, re.MULTILINE) == list(KINDS)
    criteria = (site / "reference" / "criteria.md").read_text(encoding="utf-8")
    for model in (PromotionCriteria, GuardLimits):
        assert [key for key in model.model_fields if f"| `{key}` |" not in criteria] == []


def test_the_reference_says_what_each_option_and_key_means(site: Path) -> None:
    for name in ("commands", "use_case", "encodings", "criteria"):
        rows = re.findall(r"^\| `.*$", (site / "reference" / f"{name}.md").read_text(encoding="utf-8"), re.MULTILINE)
        assert len(rows) > 10
        assert [row for row in rows if re.search(r"\|\s*(\*\*Required\.\*\*)?\s*(Default: .*)?\|$", row)] == [], name


def test_the_reference_lists_the_routes_of_the_server(site: Path) -> None:
    text = (site / "reference" / "routes.md").read_text(encoding="utf-8")
    for route in (
        "/serving-endpoints/{name}/invocations",
        "/serving-endpoints/{name}/try",
        "/api/2.0/serving-endpoints",
        "/metrics",
        "/ready",
    ):
        assert f"`{route}`" in text
