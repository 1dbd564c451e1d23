"""Refusals of `python -m training.init`, and questions that only a person can answer."""

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from lakehouse.errors import LakehouseError, nearest


class InitRefused(LakehouseError):
    """The file, its target or the project cannot become a use case."""

    @classmethod
    def no_column(cls, option: str, name: str, known: list[str]) -> "InitRefused":
        return cls(
            f"{option} names '{name}', and the file has no such column. {nearest(name, known)}",
            hint=f"Columns: {', '.join(known[:40])}{', ...' if len(known) > 40 else ''}.",
        )

    @classmethod
    def file(cls, path: Path | str, problem: str, hint: str) -> "InitRefused":
        return cls(f"{path} {problem}", hint=hint)

    @classmethod
    def target(cls, column: str, problem: str, hint: str) -> "InitRefused":
        return cls(f"the target {column} {problem}", hint=hint)

    @classmethod
    def ambiguous(cls, question: str, option: str, answers: Mapping[str, str]) -> "InitRefused":
        listed = "; ".join(f"{option} {answer}: {meaning}" for answer, meaning in answers.items())
        return cls(question, hint=f"Pass {listed}.")


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
    answered: str = click.prompt(question, type=click.Choice(list(answers)))
    return answered
