"""What a person sees while a command runs."""

import errno
import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lakehouse.errors import LakehouseError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

OUT = Console(highlight=False)
if not OUT.is_terminal:
    OUT.width = 160  # a log has room for a table
ERR = Console(stderr=True, highlight=False)


def stage(text: str) -> None:
    """Announce the next stage."""
    OUT.print(f"[bold]>[/] {escape(text)}")


def detail(text: str) -> None:
    """Say something about the stage, below it."""
    OUT.print(f"  {text}", soft_wrap=True, markup=False)


def number_of(noun: str, count: int) -> str:
    """So many of a thing, in words: 1 trial, 1,200 trials."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print a table; numbers are the caller's to format, and nothing in a cell is read as markup."""
    drawn = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    for name in header:
        drawn.add_column(name, header_style="dim")
    for row in rows:
        drawn.add_row(*map(Text, row))
    OUT.print(drawn)


def data(text: str) -> None:
    """Print JSON, indented."""
    OUT.print_json(text)


def verbatim(*lines: str) -> None:
    """Print lines that people and scripts copy: nothing in them is wrapped or read as markup."""
    for line in lines:
        OUT.print(line, soft_wrap=True, markup=False)


def run_command(command: click.Command) -> None:
    """Run a command line to its exit.

    An error of ours is printed without a traceback, and the exit code is 1; it is 2 for wrong usage and 130 for
    Ctrl-C. A disk that is full or may not be written to is told the same way. Any other error is a defect and keeps
    its traceback.
    """
    try:
        sys.exit(command.main(standalone_mode=False))
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except LakehouseError as err:
        ERR.print(f"[bold red]Error:[/] {escape(str(err))}", soft_wrap=True)
        sys.exit(1)
    except OSError as err:
        if err.errno not in _NO_ROOM:
            raise
        hint = "Free space or correct the permissions, then run the command again."
        ERR.print(f"[bold red]Error:[/] {escape(str(err))}\n  {hint}", soft_wrap=True)
        sys.exit(1)
    except click.Abort as err:
        # Raised by click for a Ctrl-C, which may carry what the command has to say.
        said = str(err.__cause__ or "") or "What was written so far is kept; the same command begins anew."
        ERR.print(f"[bold red]Interrupted.[/] {escape(said)}", soft_wrap=True)
        sys.exit(130)
