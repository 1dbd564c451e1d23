"""Console output of commands, and their exit codes."""

import errno
import io
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lakehouse.errors import LakehouseError
from lakehouse.interrupts import StopSignals
from lakehouse.short_names import as_started

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

_QUERY_INTERRUPTED = "Query interrupted"  # DuckDB raises a RuntimeError with it in place of the KeyboardInterrupt


class _Console(Console):
    """A console that names commands as the person started this one."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(as_started(each) if isinstance(each, str) else each for each in objects), **options)


OUT = _Console(highlight=False)
if not OUT.is_terminal:
    OUT.width = 160  # wide enough for a table in a log file
ERR = _Console(stderr=True, highlight=False)


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
        grid.add_row(*(Text(as_started(cell)) for cell in row))
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

    A `LakehouseError` is printed without a traceback, with exit code 1. The exit code is 2 for wrong usage, 130
    for Ctrl-C, and 128 and its number for another signal that stops the command. A full or read-only disk is
    reported like a `LakehouseError`. Any other error is a defect and keeps its traceback.
    """
    signals = StopSignals()
    try:
        with _short_warnings(), signals.interrupt():
            code = command.main(standalone_mode=False)
        sys.exit(code)
    except click.ClickException as err:
        shown = io.StringIO()
        err.show(shown)
        click.echo(as_started(shown.getvalue()), err=True, nl=False)
        sys.exit(err.exit_code)
    except LakehouseError as err:
        ERR.print(f"[bold red]Error:[/] {escape(str(err))}", soft_wrap=True)
        sys.exit(1)
    except click.Abort as err:
        # Raised by click for a Ctrl-C, whose exception may carry a message of the command.
        _interrupted(str(err.__cause__ or ""), signals)
    except RuntimeError as err:
        if str(err) != _QUERY_INTERRUPTED:
            raise
        _interrupted("", signals)
    except OSError as err:
        if signals.received:  # such as a terminal that is gone
            _interrupted("", signals)
        if err.errno not in _UNWRITABLE:
            raise
        hint = "Free space or correct the permissions, then run the command again."
        ERR.print(f"[bold red]Error:[/] {escape(str(err))}\n  {hint}", soft_wrap=True)
        sys.exit(1)


def _interrupted(message: str, signals: StopSignals) -> NoReturn:
    message = message or "Finished output remains; run the same command again."
    with suppress(OSError):  # the terminal may be gone
        ERR.print(f"[bold red]Interrupted{signals.named}.[/] {escape(message)}", soft_wrap=True)
    sys.exit(signals.exit_code)
