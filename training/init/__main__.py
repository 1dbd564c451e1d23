"""`python -m training.init FILE --target COLUMN`: from a file to a registered challenger."""

import tempfile
from pathlib import Path
from typing import Any, get_args

import click

from lakehouse import console
from lakehouse.settings import Settings
from scoring.tasks import TASKS
from training.init.names import require_usable, use_case_name
from training.init.project import project_files
from training.init.proposing.proposal import Proposal, Wishes, propose, show
from training.init.reading.dates import DateOrder
from training.init.reading.given import Habits
from training.init.reading.opening import open_table
from training.init.running import build_tables, next_commands, train_briefly
from training.init.writing.files import planned_files, require_free, write_files

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
    "--task", type=click.Choice(list(TASKS)), help="Kind of the prediction; the default follows the target."
)
@click.option("--exclude", callback=_columns, metavar=LIST, help="Columns that are no features.")
@click.option("--keep", callback=_columns, metavar=LIST, help="Columns that stay features in spite of a reason.")
@click.option(
    "--dates", type=click.Choice(get_args(DateOrder)), help="Order of day, month and year, where it is ambiguous."
)
@click.option("--decimal", type=click.Choice([",", "."]), help="Decimal character, where it is ambiguous.")
@click.option("--encoding", help="Encoding of a text file, such as iso-8859-15.")
@click.option("--table", metavar="NAME", help="Table of a database, or sheet of a workbook.")
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
    habits = Habits(said["dates"], said["decimal"], said["encoding"], said["table"])
    wishes = Wishes(
        said["target"], said["task"], said["key"], said["time"], said["group"], said["exclude"], said["keep"]
    )
    if name:
        require_usable(name)
    else:
        name = use_case_name(said["table"] or _plain_name(Path(file)))
    settings = Settings.from_environment()
    with tempfile.TemporaryDirectory(prefix="init-") as workspace:
        console.stage(f"Reading {file}")
        table = open_table(file, habits, Path(workspace), memory)
        proposal = propose(name, table, wishes)
        show(proposal)
        if check:
            require_free(planned_files(proposal, project_files(settings.project, name)), settings.project)
            console.detail("Nothing was written (--check).")
            return
        _write(proposal, settings)
        build_tables(proposal)
    version = train_briefly(proposal.name, settings, minutes, families)
    next_commands(proposal.name, version)


def _plain_name(file: Path) -> str:
    """Name of the file without endings; of a pattern, what is before its star, or the folder."""
    return file.name.partition(".")[0].partition("*")[0].rstrip("-_ ") or file.absolute().parent.name


def _write(proposal: Proposal, settings: Settings) -> None:
    console.stage(f"Writing {proposal.name}")
    around = project_files(settings.project, proposal.name)
    if around:
        console.detail(f"{settings.project} becomes a project")
    written = write_files(planned_files(proposal, around), settings.project)
    for path in written:
        console.detail(path)
    if not written:
        console.detail("every file is there and the same")


if __name__ == "__main__":
    console.run_command(main)
