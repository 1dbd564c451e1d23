"""The README names every command, option, make target and environment variable."""

import inspect
import re

import click
import pytest

from deployment.command_line import long_name, main
from lakehouse import settings
from lakehouse.settings import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(main)
    every = ((long_name(name), main.get_command(context, name)) for name in main.list_commands(context))
    return [(name, command) for name, command in every if name and command]


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_and_option_is_in_the_readme(name: str, command: click.Command) -> None:
    assert f"python -m {name}" in README
    for option in command.params:
        if isinstance(option, click.Option):
            assert max(option.opts, key=len) in README


def test_every_target_of_make_is_in_the_readme() -> None:
    targets = re.findall(r"^([a-z]+):.*##", MAKEFILE, re.MULTILINE)
    assert len(targets) > 5
    assert [target for target in targets if f"make {target}" not in README and f"`{target}`" not in README] == []


def test_every_variable_is_in_the_readme() -> None:
    profiles = (PROJECT / "profiles.yml").read_text(encoding="utf-8")
    source = inspect.getsource(settings)
    variables = set(re.findall(r'environment\.get\(\s*"([A-Z_]+)"', source))
    variables |= set(re.findall(r"env_var\('([A-Z_]+)'", profiles))
    assert len(variables) > 5
    assert [name for name in sorted(variables) if f"`{name}`" not in README] == []


def test_the_readme_shows_the_commands_of_the_demo() -> None:
    demo = MAKEFILE.partition("\ndemo: ")[2].partition("\n\n")[0]
    executed = re.findall(r"\$\(call show,([^)]*)\)", demo)
    shown = re.findall(r"^\$ (.*)$", README, re.MULTILINE)
    assert shown == executed


def test_the_two_main_commands_are_near_the_top() -> None:
    top = "\n".join(README.splitlines()[:25])
    assert "make demo" in top
    assert "make test" in top
