"""`python -m training.init FILE --target COLUMN`: from a file to a registered challenger."""

from typing import Any, get_args

import click

from lakehouse import console
from lakehouse.options.choices import OneOf
from scoring.tasks import TASKS
from training.init.reading.habits import DateOrder

LIST = "COLUMN,..."


def _columns(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if value else ()


@click.command()
@click.argument("file")
@click.option("--target", required=True, metavar="COLUMN", help="Column to predict.")
@click.option("--name", help="Name of the use case; the default comes from the file.")
@click.option("--key", callback=_columns, metavar=LIST, help="Columns that identify a row; `none`: the row number.")
@click.option("--time", metavar="COLUMN", help="Column with the time of a row; `none`: rows have no time.")
@click.option("--group", metavar="COLUMN", help="Column whose rows stay on one side of each split, or `none`.")
@click.option(
    "--task",
    type=OneOf([name for name, task in TASKS.items() if not task.declares_forecast]),
    help="Kind of the prediction; the default follows the target.",
)
@click.option("--exclude", callback=_columns, metavar=LIST, help="Columns that are no features.")
@click.option("--keep", callback=_columns, metavar=LIST, help="Columns that stay features in spite of a reason.")
@click.option("--dates", type=OneOf(get_args(DateOrder)), help="Order of day, month and year, where it is ambiguous.")
@click.option("--decimal", type=OneOf([",", "."]), help="Decimal character, where it is ambiguous.")
@click.option("--encoding", help="Encoding of a text file, such as iso-8859-15.")
@click.option(
    "--embedded-rows", is_flag=True, help="Lines within quotes are one value, although each looks like a row."
)
@click.option("--table", metavar="NAME", help="Table of a database, or sheet of a workbook.")
@click.option(
    "--words", callback=_columns, metavar=LIST, help="Columns whose words such as `unknown` are values, not missing."
)
@click.option(
    "--missing",
    callback=_columns,
    metavar="COLUMN=VALUE,...",
    help="Values that mean a missing one, such as days=999; a column may have several.",
)
@click.option(
    "--rows", type=click.IntRange(50), help="Most rows to learn from; the default keeps the matrix below 0.25 GiB."
)
@click.option("--memory", default="1GB", show_default=True, help="Memory limit for reading the file.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="Time limit of the training.",
)
@click.option(
    "--families", metavar="NAME,...", help="Model families to search; the default is in the written use case."
)
@click.option("--check", is_flag=True, help="Print the proposal; write nothing and train nothing.")
def main(  # noqa: PLR0913  (the options of a command)
    file: str, name: str | None, memory: str, minutes: float, families: str | None, *, check: bool, **said: Any
) -> None:
    """Read FILE, propose a use case that predicts COLUMN, write its models, build them, and train for a minute.

    FILE is a CSV file of any kind (or a pattern in quotes), Parquet (file or folder), JSON lines, an Excel workbook,
    a Delta table, or the address of a database with --table, such as sqlite:///shop.db. Nothing that exists is
    overwritten.
    """
    from training.init.command import Order, carry_out

    carry_out(Order(file, name, memory, minutes, families, check, **said))


if __name__ == "__main__":
    console.run_command(main)
