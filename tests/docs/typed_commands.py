"""Commands as a person would type them, found in texts and checked by the parsers of the commands themselves."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
from click.testing import CliRunner

from deployment import command_line
from lakehouse.errors import LakehouseError
from lakehouse.options.choices import OneOf
from lakehouse.settings import PROJECT
from tests.checkout import with_words

MODULE = re.compile(r"python -m ((?:lakehouse|training|deployment|simulation)(?:\.\w+)+)")
ENDS_A_COMMAND = re.compile(r"[.,;:)]$")
INSERTED = "1"
BEGINS = re.compile(r"(?:[A-Z_]+=\S+ )*(?:python -m (?:lakehouse|training|deployment|simulation)\.|lakehouse \w)")
SHELL = re.compile(r"(?:^|\s|/)((?:python -m (?:lakehouse|training|deployment|simulation)\.|lakehouse )\S.*)$")


class CommandRefused(Exception):
    """A command that its own parser refuses."""


def check(line: str, *, mentioned: bool = False) -> None:
    """Parse the command of a line, without running it.

    Args:
        mentioned: True for a command that a sentence names, perhaps without the options that it needs.

    Raises:
        CommandRefused: there is no such command or option, a value is invalid, or a required option is missing.
    """
    words = [word for word in shlex.split(line) if not word.startswith("[")]  # optional parts in a description
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # variables for the command alone
        words.pop(0)
    command, typed = command_of(words)
    if isinstance(command, click.Group) and not typed:
        return
    arguments = [_example(command, *pair) for pair in zip(["", *typed], typed, strict=False)]
    try:
        command.make_context(line, arguments)
    except click.exceptions.Exit:  # --help
        return
    except click.MissingParameter as err:
        if not mentioned:
            raise CommandRefused(f"{line}: {err.format_message()}") from err
    except click.ClickException as err:
        if not (mentioned and "requires an argument" in err.format_message()):
            raise CommandRefused(f"{line}: {err.format_message()}") from err


def _example(command: click.Command, option: str, value: str) -> str:
    """The value; for one that stands for others, such as NAME or N, a value that its option may have."""
    stands_for_others = value in {INSERTED, "..."} or value.isupper()
    for param in command.params:
        if stands_for_others and option in param.opts:
            if isinstance(param.type, OneOf):
                return str(param.type.choices[0])
            if param.name == "at":
                return "2026-01-01"
            return str(getattr(param.type, "min", None) or INSERTED)
    return value


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and its arguments.

    Raises:
        CommandRefused: it is no command of this project.
    """
    if words[:1] == ["lakehouse"]:
        return _of_group(command_line.main, words[1:])
    match = MODULE.fullmatch(" ".join(words[:3]))
    if match is None:
        raise CommandRefused(f"{shlex.join(words)} is no command of this project")
    try:
        found = _main_of(match[1])
    except (ImportError, AttributeError) as err:
        raise CommandRefused(f"{match[1]} is no module with a command") from err
    return _of_group(found, words[3:]) if isinstance(found, click.Group) else (found, words[3:])


def _main_of(module: str) -> click.Command:
    """The command of a module, or of the `__main__` of a package."""
    found = importlib.import_module(module)
    command: click.Command = (found if hasattr(found, "main") else importlib.import_module(f"{module}.__main__")).main
    return command


def _of_group(group: click.Group, rest: list[str]) -> tuple[click.Command, list[str]]:
    if not rest or rest[0].startswith("-"):
        return group, rest
    command = group.get_command(click.Context(group), rest[0])
    if command is None:
        raise CommandRefused(f"{group.name} has no command {rest[0]}")
    return command, rest[1:]


def type_line(line: str, put: Mapping[str, str] | None = None, *, exits: int = 0) -> str:
    """Run the command of a documentation's line in this process, which a test has prepared; its output.

    Args:
        line: the line as the page has it; `test_typed_commands.py` looks for it.
        put: a name by the word of the line that it replaces.
        exits: the exit code that is expected.
    """
    command, arguments = command_of(shlex.split(with_words(line, put)))
    result = CliRunner().invoke(command, arguments)
    code = 1 if isinstance(result.exception, LakehouseError) else result.exit_code
    output = f"{result.output}{result.exception or ''}"
    assert code == exits, output
    return output


def shown_in(page: Path) -> Iterator[tuple[str, bool]]:
    """Commands in the blocks of a page, typed or printed, and with True those that its sentences mention."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.split(r"\n|&&", block):
            if match := SHELL.search(line):
                yield re.split(r"\s(?:\||&&|\|\||>|#|2>)|[;)]", match[1])[0].strip(), False
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", prose):
        if BEGINS.match(code):
            yield code, True


def printed_by(source: Path) -> Iterator[str]:
    """The commands in the texts of a source file; `INSERTED` stands for each inserted value.

    Text follows a command in a sentence: the command ends at punctuation, or at a word that is no option's value.
    """
    for text in _texts(ast.parse(source.read_text(encoding="utf-8"))):
        for match in MODULE.finditer(text):
            rest = text[match.end() :].partition("\n")[0].partition("`")[0]
            yield shlex.join([*match[0].split(), *_until_its_end(rest)])


def _texts(tree: ast.Module) -> Iterator[str]:
    described = set[int]()  # a docstring shows the form of a command, with placeholders
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            first = node.body[0]
            assert isinstance(first, ast.Expr)
            described.add(id(first.value))
        if isinstance(node, ast.JoinedStr):
            described |= {id(value) for value in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(value.value) if isinstance(value, ast.Constant) else INSERTED for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def _until_its_end(rest: str) -> list[str]:
    words: list[str] = []
    if not rest.startswith(" "):
        return words
    for word in re.findall(r'"[^"]*"|\S+', rest):
        bare = ENDS_A_COMMAND.sub("", word) if word != "..." else word
        takes_value = bool(words) and words[-1].startswith("--")
        if not words or bare.startswith("--") or takes_value or bare.isupper():
            words.append(bare.strip('"'))
        else:
            break
        if bare != word:
            break
    return [word for word in words if word]


def packages() -> list[Path]:
    """Source files of the packages."""
    folders = ("lakehouse", "scoring", "simulation", "training", "deployment", "dbt_project/adapter")
    return sorted(file for folder in folders for file in (PROJECT / folder).rglob("*.py"))
