"""The steps behind `python -m training.init`: read, propose, write, build, train."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakehouse import console
from lakehouse.errors import first_line, nearest
from lakehouse.settings import Settings
from lakehouse.wording import number_of
from training.init.errors import InitRefused
from training.init.names import require_usable, use_case_name
from training.init.project import project_files
from training.init.proposing.proposal import Proposal, Wishes, propose
from training.init.proposing.shown import show
from training.init.reading.given import without_password
from training.init.reading.habits import DateOrder, Habits
from training.init.reading.opening import open_table
from training.init.running import build_tables, next_commands, train_briefly
from training.init.writing.files import planned_files, require_free, require_free_name, write_files
from training.models import FAMILIES, SEARCHED


@dataclass(frozen=True)
class Order:
    """Options of the command; None is found from the file, or is the default of the written use case."""

    file: str
    name: str | None
    memory: str
    minutes: float
    families: str | None
    check: bool
    target: str
    task: str | None
    key: tuple[str, ...]
    time: str | None
    group: str | None
    exclude: tuple[str, ...]
    keep: tuple[str, ...]
    dates: DateOrder | None
    decimal: str | None
    encoding: str | None
    embedded_rows: bool
    table: str | None
    words: tuple[str, ...]
    missing: tuple[str, ...]
    rows: int | None

    @property
    def habits(self) -> Habits:
        """Format of the file."""
        return Habits(self.dates, self.decimal, self.encoding, self.table, self.embedded_rows, self.words)

    @property
    def wishes(self) -> Wishes:
        """Roles of the columns."""
        return Wishes(
            self.target, self.task, self.key, self.time, self.group, self.exclude, self.keep, self.missing, self.rows
        )

    @property
    def use_case(self) -> str:
        """Name of the use case.

        Raises:
            InitRefused: the given name cannot be one.
        """
        if self.name is None:
            return use_case_name(self.table or _plain_name(Path(self.file)))
        require_usable(self.name)
        return self.name


def carry_out(order: Order) -> None:
    """Carry out the order; with `check` it ends before anything is written."""
    name, settings = order.use_case, Settings.from_environment()
    require_free_name(name, settings.project)
    with tempfile.TemporaryDirectory(prefix="init-") as workspace, _within_limits(order.memory):
        console.stage(f"Reading {without_password(order.file)}")
        table = open_table(order.file, order.habits, Path(workspace), order.memory)
        proposal = propose(name, table, order.wishes)
        show(proposal)
        _require_families(order.families, proposal)
        if order.check:
            planned = planned_files(proposal, project_files(settings.project, name))
            require_free(planned, settings.project)
            console.detail("Nothing was written (--check).")
            return
        _write(proposal, settings)
        build_tables(proposal)
    version = train_briefly(proposal.name, settings, order.minutes, order.families)
    next_commands(proposal.name, version, has_password=without_password(order.file) != order.file)


@contextmanager
def _within_limits(memory: str) -> Iterator[None]:
    """Refuse a memory limit or a disk that is too small for the file.

    Raises:
        InitRefused: DuckDB ran out of memory or disk.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as err:
        raise InitRefused.file(
            f"--memory {memory}", "is not enough for this file", "Give more, such as 2GB."
        ) from err
    except duckdb.IOException as err:
        folder = tempfile.gettempdir()
        hint = f"Free space in {folder}, where the rows are kept meanwhile, or set TMPDIR to another folder."
        raise InitRefused(f"the rows cannot be kept: {first_line(err)}", hint=hint) from err


def _require_families(families: str | None, proposal: Proposal) -> None:
    """Check the families before anything is written: their task is known only now.

    Raises:
        InitRefused: a family is unknown, or of another task.
    """
    task = proposal.target.task
    known = sorted(name for name in SEARCHED if task in FAMILIES[name].tasks)
    for name in [name.strip() for name in (families or "").split(",") if name.strip()]:
        if name not in known:
            raise InitRefused.file(f"--families {name}", f"is no model family for {task.name}", nearest(name, known))


def _plain_name(file: Path) -> str:
    """Name of the file without endings; of a pattern, what is before its star, or the folder."""
    return file.name.partition(".")[0].partition("*")[0].rstrip("-_ ") or file.absolute().parent.name


def _write(proposal: Proposal, settings: Settings) -> None:
    console.stage(f"Writing {proposal.name}")
    around = project_files(settings.project, proposal.name)
    written = write_files(planned_files(proposal, around), settings.project)
    if added := [path for path in written if path in around]:
        console.detail(f"{settings.project} becomes a project: {number_of('file', len(added))} around the use case")
    for path in written:
        if path not in around:
            console.detail(path)
    if not written:
        console.detail("every file is there and the same")
