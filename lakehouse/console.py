"""Console output of commands, and their exit codes."""

import errno
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lakehouse.errors import LakehouseError

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

OUT = Console(highlight=False)
if not OUT.is_terminal:
    OUT.width = 160  # wide enough for a table in a log file
ERR = Console(stderr=True, highlight=False)


def stage(text: str) -> None:
    """Print the heading of the next stage."""
    OUT.print(f"[bold]>[/] {escape(text)}")


def detail(text: str) -> None:
    """Print an indented line about the current stage."""
    OUT.print(f"  {text}", soft_wrap=True, markup=False)


def labelled(label: str, style: str, text: str) -> None:
    """Print an indented line with a coloured label before it."""
    OUT.print(f"  [{style}]{escape(label):<10}[/] {escape(text)}", soft_wrap=True)


def table(header: list[str], rows: list[list[str]]) -> None:
    """Print a table. The caller formats numbers; markup in cells is printed literally."""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    for name in header:
        grid.add_column(name, header_style="dim")
    for row in rows:
        grid.add_row(*map(Text, row))
    OUT.print(grid)


def data(text: str) -> None:
    """Print indented JSON."""
    OUT.print_json(text)


def verbatim(*lines: str) -> None:
    """Print lines to be copied, without wrapping and without markup."""
    for line in lines:
        OUT.print(line, soft_wrap=True, markup=False)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Print each kind of warning of a library once, in one line, instead of twice for each place and number in it.

    Python's own options (`-W`, PYTHONWARNINGS) keep Python's own output.
    """
    if sys.warnoptions:
        yield
        return
    shown = set[tuple[str, str]]()

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        line = str(message).strip().partition("\n")[0]
        kind = category.__name__, re.sub(r"\d+", "#", line)
        if kind not in shown:
            shown.add(kind)
            ERR.print(f"  [yellow]note[/] {escape(line)} ({category.__name__}; shown once)", soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def run_command(command: click.Command) -> None:
    """Run a command and exit.

    A `LakehouseError` is printed without a traceback, with exit code 1. The exit code is 2 for wrong usage and 130
    for Ctrl-C. A full or read-only disk is reported like a `LakehouseError`. Any other error is a defect and keeps
    its traceback.
    """
    try:
        with _short_warnings():
            code = command.main(standalone_mode=False)
        sys.exit(code)
    except click.ClickException as err:
        err.show()
        sys.exit(err.exit_code)
    except LakehouseError as err:
        ERR.print(f"[bold red]Error:[/] {escape(str(err))}", soft_wrap=True)
        sys.exit(1)
    except OSError as err:
        if err.errno not in _UNWRITABLE:
            raise
        hint = "Free space or correct the permissions, then run the command again."
        ERR.print(f"[bold red]Error:[/] {escape(str(err))}\n  {hint}", soft_wrap=True)
        sys.exit(1)
    except click.Abort as err:
        # Raised by click for a Ctrl-C, whose exception may carry a message of the command.
        message = str(err.__cause__ or "") or "Finished output remains; run the same command again."
        ERR.print(f"[bold red]Interrupted.[/] {escape(message)}", soft_wrap=True)
        sys.exit(130)
