"""Options of a command that override the `search` of a use case."""

from collections.abc import Callable
from typing import Any, get_args

import click

from lakehouse.options.choices import OneOf
from training.use_case.search_words import Engine, ExecutorName, Method

PRINTED = 10  # trials of the leaderboard on the console
OPTIONS = (
    click.option("--method", type=OneOf(get_args(Method)), help="Search method: tpe (Bayesian), random or grid."),
    click.option("--engine", type=OneOf(get_args(Engine)), help="Library that proposes trials (not used by grid)."),
    click.option("--families", metavar="NAME,...", help="Model families to search, separated by commas."),
    click.option("--max-evals", type=click.IntRange(1), help="Maximum number of trials; a larger grid is refused."),
    click.option(
        "--max-minutes",
        type=click.FloatRange(0, min_open=True),
        help="Time limit of training: of search, blend, refit and report.",
    ),
    click.option("--parallelism", type=click.IntRange(1), help="Number of trials that run at once."),
    click.option(
        "--executor",
        type=OneOf(get_args(ExecutorName)),
        help="Where trials run: in this process, in processes of their own, or on Spark.",
    ),
    click.option(
        "--seed", type=click.IntRange(0), help="Random seed; the same seed and parallelism reproduce the trials."
    ),
)


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that override the `search` of a use case."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
