"""`python -m lakehouse.build [DBT_OPTIONS]...`: `dbt build` with a progress bar and a summary in place of its log."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.interrupts import Stopped
from lakehouse.settings import PROJECT

_SUMMARY = {"FinishedRunningStats", "StatsLine"}  # names of dbt's events
_SHOWN_LEVELS = {"warn", "error"}
# Parts of errors of Databricks, whose client names neither the SQL warehouse nor the next command.
_WORKSPACE_REFUSES = ("Error during request to server", "NO_SUCH_CATALOG")
OnProgress = Callable[[int, int], None]


class DbtMissing(LakehouseError):
    """The dbt command is not in this environment."""

    @classmethod
    def beside(cls, python: str) -> "DbtMissing":
        return cls(f"there is no dbt beside {python}, nor on the PATH", hint="Set the environment up: make test")


@dataclass
class BuildLog:
    """The log of a build, read event by event.

    Attributes:
        lines: every line as text.
        summary: dbt's own summary.
        problems: warnings and errors, as they appear.
        done, total: finished and planned models and tests.
    """

    lines: list[str] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0

    @property
    def hint(self) -> str | None:
        """The next command after an error that dbt's client does not explain."""
        if any(part in line for line in self.lines for part in _WORKSPACE_REFUSES):
            return "Check the workspace: python -m deployment.run doctor --target databricks --online"
        return None

    def read(self, output: Iterable[str], on_progress: OnProgress) -> None:
        """Read dbt's JSON events, and lines that are none, such as a traceback."""
        for line in output:
            event = _event(line)
            if event is None:
                self.lines.append(line.rstrip())
                continue
            info, data = event["info"], event.get("data", {})
            text = str(info.get("msg", "")).strip()
            if not text:
                continue
            self.lines.append(text)
            if info.get("name") in _SUMMARY:
                self.summary.append(text)
            elif info.get("level") in _SHOWN_LEVELS:
                self.problems.append(text)
            if "total" in data and "index" in data and info.get("name") != "LogStartLine":
                self.done, self.total = self.done + 1, int(data["total"])
                on_progress(self.done, self.total)


def build(arguments: Sequence[str], *, verbose: bool = False) -> int:
    """Run `dbt build` with the arguments, and return its exit code.

    The whole log is printed if the build fails or is verbose; otherwise its warnings and its summary are.

    Raises:
        DbtMissing: there is no dbt in this environment.
    """
    console.stage(" ".join(["dbt build", *arguments]))
    if verbose:
        with (
            subprocess.Popen([_dbt(), "build", *arguments], cwd=PROJECT) as verbose_process,
            _stopping(verbose_process),
        ):
            return verbose_process.wait()
    log = BuildLog()
    command = [_dbt(), "--log-format", "json", "build", *arguments]
    with (
        _progress() as bar,
        subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
        _stopping(process),
    ):
        task = bar.add_task("build", total=None)
        log.read(process.stdout or (), lambda done, total: bar.update(task, completed=done, total=total))
        code = process.wait()
    console.verbatim(*(f"  {line}" for line in (log.lines if code else [*log.problems, *log.summary])))
    if not code:
        console.detail("dbt's own log: logs/dbt.log, or --verbose")
    elif log.hint:
        console.detail(log.hint)
    return code


@contextmanager
def _stopping(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Interrupt dbt with this command; a Ctrl-C reaches both, a signal to this command only this one."""
    try:
        yield
    except Stopped:
        process.send_signal(signal.SIGINT)
        raise


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("info"), dict) else None


def _progress() -> Progress:
    columns = (TextColumn("  building"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console.OUT, transient=True, disable=not console.OUT.is_terminal)


def _dbt() -> str:
    beside = Path(sys.executable).with_name("dbt")
    found = str(beside) if beside.is_file() else shutil.which("dbt")
    if found is None:
        raise DbtMissing.beside(sys.executable)
    return found


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--verbose", is_flag=True, envvar="VERBOSE", help="Show dbt's own log instead.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[DBT_OPTIONS]...")
@click.pass_context
def main(context: click.Context, arguments: tuple[str, ...], *, verbose: bool) -> None:
    """Build, test and publish the gold tables: `dbt build` with progress and a summary; the log if it fails."""
    context.exit(build(arguments, verbose=verbose))


if __name__ == "__main__":
    console.run_command(main)
