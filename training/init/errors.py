"""Refusals of `python -m training.init`, and questions that only a person can answer."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from lakehouse.errors import LakehouseError, nearest
from lakehouse.landing.errors import Correction, LandingFileRefused
from lakehouse.options.choices import OneOf

_OPTIONS = {"encoding": "--encoding {value}", "embedded_rows": "--embedded-rows"}  # for the options of landing files

ONE_VALUE = "write what you need of them to columns of their own, with one number, text, date or boolean a row"


class InitRefused(LakehouseError):
    """The file, its target or the project cannot become a use case."""

    @classmethod
    def no_column(cls, option: str, name: str, known: list[str], listed: list[str]) -> "InitRefused":
        if fields := [column for column in known if column.startswith(f"{name}.")]:
            return cls(
                f"{option} names '{name}', which is an object", hint=f"Name a field: {', '.join(fields[:40])}."
            )
        other_case = {column.lower(): column for column in known}.get(name.lower())
        near = f"Did you mean '{other_case}'?" if other_case else nearest(name, known)
        suggested = f". {near}" if near.startswith("Did you mean") else ""
        return cls(
            f"{option} names '{name}', and the file has no such column{suggested}",
            hint=f"Columns: {', '.join(listed[:40])}{', ...' if len(listed) > 40 else ''}.",
        )

    @classmethod
    def unread(cls, option: str, name: str, values: str) -> "InitRefused":
        return cls(
            f"{option} names '{name}', which is not read, because it has {values}",
            hint=f"{ONE_VALUE.capitalize()}.",
        )

    @classmethod
    def two_roles(cls, column: str, option: str, other: str) -> "InitRefused":
        return cls(
            f"{option} and {other} both name the column {column}",
            hint=f"A column has one role: leave it out of {option} or of {other}.",
        )

    @classmethod
    def name(cls, name: str, usable: str) -> "InitRefused":
        return cls(
            f"--name '{name}' is no name of a use case: models, folders and files are named after it",
            hint=f"Use small letters, digits and underscores, such as --name {usable}.",
        )

    @classmethod
    def reserved_name(cls, name: str, owner: str, usable: str) -> "InitRefused":
        return cls(f"--name '{name}' is {owner}", hint=f"Choose another one, such as --name {usable}.")

    @classmethod
    def long_name(cls, name: str, most: int) -> "InitRefused":
        return cls(f"--name has {len(name)} characters, and may have {most}", hint=f"Such as --name {name[:20]}.")

    @classmethod
    def file(cls, path: Path | str, problem: str, hint: str) -> "InitRefused":
        return cls(f"{path} {problem}", hint=hint)

    @classmethod
    def landing_file(cls, refused: LandingFileRefused) -> "InitRefused":
        """The refusal of a landing file, with the option of this command in place of the one in the model's .yml."""
        hints = [refused.advice, _option(refused.correction)]
        return cls(refused.failed.replace("the landing file ", "the file ", 1), hint=" ".join(filter(None, hints)))

    @classmethod
    def target(cls, column: str, problem: str, hint: str) -> "InitRefused":
        return cls(f"the target {column} {problem}", hint=hint)

    @classmethod
    def ambiguous(cls, question: str, option: str, answers: Mapping[str, str]) -> "InitRefused":
        listed = "; ".join(f"{option} {answer}: {meaning}" for answer, meaning in answers.items())
        return cls(question, hint=f"Pass {listed}.")


def _option(correction: Correction | None) -> str:
    """The correction as a sentence about this command; empty if the file must be corrected."""
    if correction is None or correction.option not in _OPTIONS:
        return ""
    option = _OPTIONS[correction.option]
    if not correction.value:
        return f"Name the {correction.option} of the file, {correction.example}: {option.format(value='NAME')}."
    condition = f" if {correction.condition}" if correction.condition else ""
    return f"Pass {option.format(value=correction.value)}{condition}."


def ask(question: str, option: str, answers: Mapping[str, str]) -> str:
    """Ask the person at the terminal to choose; without a terminal, refuse and name the option.

    Args:
        question: what is ambiguous, with the values.
        option: option of the command that answers it.
        answers: meaning of each answer.

    Raises:
        InitRefused: there is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise InitRefused.ambiguous(question, option, answers)
    for answer, meaning in answers.items():
        click.echo(f"  {answer}: {meaning}")
    answered: str = click.prompt(question, type=OneOf(list(answers)))
    return answered
