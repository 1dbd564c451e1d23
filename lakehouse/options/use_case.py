"""The option `--use-case NAME` of commands; a shell completes the names."""

from functools import partial

import click

from lakehouse.settings import PROJECT


def _names(_context: click.Context, _option: click.Parameter, typed: str) -> list[str]:
    """Names of the use cases of this project that begin with the typed text."""
    return sorted(file.stem for file in (PROJECT / "training" / "use_cases").glob(f"{typed}*.yml"))


use_case_option = partial(
    click.option,
    "--use-case",
    "name",
    metavar="NAME",
    shell_complete=_names,
    help="Name of the use case: training/use_cases/NAME.yml.",
)
