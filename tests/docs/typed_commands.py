"""Commands as a person would type them, found in texts and checked by the parsers of the commands themselves."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from lakehouse.settings import PROJECT

MODULE = re.compile(r"python -m ((?:lakehouse|training|deployment|simulation)(?:\.\w+)+)")
ENDS_A_COMMAND = re.compile(r"[.,;:)]$")
INSERTED = "1"


class CommandRefused(Exception):
    """A command that its own parser refuses."""


def check(line: str) -> None:
    """Parse the command of a line, without running it.

    Raises:
        CommandRefused: there is no such command or option, a value is invalid, or a required option is missing.
    """
    words = shlex.split(line)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # variables for the command alone
        words.pop(0)
    command, arguments = command_of(words)
    try:
        command.make_context(
            line, [_of_choice(command, *pair) for pair in zip(["", *arguments], arguments, strict=False)]
        )
    except click.exceptions.Exit:  # --help
        return
    except click.ClickException as err:
        raise CommandRefused(f"{line}: {err.format_message()}") from err


def _of_choice(command: click.Command, option: str, value: str) -> str:
    """The value; for one that stands for an inserted text, a choice of its option."""
    for param in command.params:
        if value == INSERTED and option in param.opts and isinstance(param.type, click.Choice):
            return str(param.type.choices[0])
    return value


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and its arguments.

    Raises:
        CommandRefused: it is no command of this project.
    """
    match = MODULE.fullmatch(" ".join(words[:3]))
    if match is None:
        raise CommandRefused(f"{shlex.join(words)} is no command of this project")
    try:
        found, rest = importlib.import_module(match[1]).main, words[3:]
    except (ImportError, AttributeError) as err:
        raise CommandRefused(f"{match[1]} is no module with a command") from err
    if isinstance(found, click.Group) and rest and not rest[0].startswith("-"):
        context = click.Context(found)
        command = found.get_command(context, rest[0])
        if command is None:
            raise CommandRefused(f"{match[1]} has no command {rest[0]}")
        return command, rest[1:]
    return found, rest


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
