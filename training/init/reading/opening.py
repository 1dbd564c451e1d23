"""Opens the given file or table by its kind."""

import os
from pathlib import Path

import duckdb

from lakehouse.landing.errors import LandingFileRefused
from lakehouse.landing.sources.database import table_columns
from lakehouse.landing.sources.declaration import SourceLocation
from lakehouse.landing.sources.errors import LandingSourceRefused
from training.init.errors import InitRefused, ask
from training.init.reading.delimited import delimited_table
from training.init.reading.given import GivenTable, absolute
from training.init.reading.habits import Habits
from training.init.reading.sheets import find_sheet
from training.init.reading.typed import typed_table

_EXCEL = (".xlsx", ".xlsm")
_JSON = (".jsonl", ".ndjson", ".json")
_TEXT = (".csv", ".txt", ".tsv", ".gz", ".zip")
_REMOTE = ("http", "https", "ftp", "file", "s3", "gs", "abfss", "dbfs")
_SQLITE = b"SQLite format 3\0"


def connect(workspace: Path, memory: str) -> duckdb.DuckDBPyConnection:
    """DuckDB with a memory limit; what exceeds it goes to files of the workspace."""
    threads = min(os.cpu_count() or 1, 4)
    try:
        connection = duckdb.connect(
            config={"memory_limit": memory, "temp_directory": str(workspace / "spill"), "threads": threads}
        )
    except duckdb.ParserException as err:
        raise InitRefused.file(f"--memory {memory}", "is no amount of memory", "Such as 1GB or 500MB.") from err
    connection.execute("set enable_progress_bar = false")
    return connection


def open_table(given: str, habits: Habits, workspace: Path, memory: str) -> GivenTable:
    """Read the complete file or table, in bounded memory.

    Args:
        given: path of a file or folder, or the address of a database.
        habits: what the person has said about its format.
        workspace: folder for copies of the rows, which the caller removes.
        memory: memory limit of DuckDB, such as 1GB.

    Raises:
        InitRefused: it does not exist, is empty or ambiguous, or a row is broken, with its line.
    """
    connection = connect(workspace, memory)
    try:
        location = _location(given, habits)
        if location is not None:
            return typed_table(given, location, workspace, connection)
        return delimited_table(Path(given), habits, workspace, connection)
    except LandingFileRefused as err:
        raise InitRefused.landing_file(err) from err
    except LandingSourceRefused as err:
        raise InitRefused(err.failed, hint=err.advice) from err


def _location(given: str, habits: Habits) -> SourceLocation | None:  # noqa: PLR0911  (one for each kind)
    """The source with types; None for delimited text."""
    if "://" in given:
        if given.partition("://")[0] in _REMOTE:
            raise InitRefused.file(given, "is the address of a file", "Download it, and give its path.")
        return SourceLocation(format="database", url=given, table=habits.table or _table(given))
    path = Path(given)
    suffix = path.suffix.lower()
    if "*" in given:
        return _pattern(given, suffix)
    if not path.exists():
        raise InitRefused.file(path, "does not exist", "Give the path of a file, a folder or a database.")
    if path.is_dir():
        is_delta = (path / "_delta_log").is_dir()
        if not is_delta and not any(path.rglob("*.parquet")):
            hint = "Name one of its files, or a pattern in quotes, such as 'parts/*.csv'."
            raise InitRefused.file(path, "is a folder, with neither Parquet files nor a Delta table", hint)
        return SourceLocation(format="delta" if is_delta else "parquet", path=str(absolute(path)))
    with path.open("rb") as file:
        start = file.read(16)
    if start == _SQLITE:
        return _location(f"sqlite:///{absolute(path)}", habits)
    if start[8:12] == b"DUCK":
        hint = "Export one of its tables: duckdb FILE -c \"copy TABLE to 'TABLE.parquet'\"."
        raise InitRefused.file(path, "is a database of DuckDB", hint)
    if suffix == ".parquet" or start.startswith(b"PAR1"):
        return SourceLocation(format="parquet", path=str(absolute(path)))
    if suffix in _JSON:
        return SourceLocation(format="json_lines", path=str(absolute(path)))
    if suffix in _EXCEL:
        table = find_sheet(absolute(path), habits.table)
        return SourceLocation(
            format="excel",
            path=str(absolute(path)),
            sheet=table.sheet,
            skip_rows=table.skip_rows,
            skip_last_rows=table.skip_last_rows,
        )
    if suffix == ".xls":
        raise InitRefused.file(path, "is a workbook of Excel 2003", "Save it as .xlsx or CSV.")
    return None


def _pattern(given: str, suffix: str) -> SourceLocation | None:
    """Several files with types; None for delimited text.

    Raises:
        InitRefused: files of that kind are read one by one.
    """
    if suffix in _TEXT:
        return None
    if suffix in _EXCEL:
        raise InitRefused.file(given, "names several workbooks", "Give one workbook, or export them as CSV.")
    return SourceLocation(format="json_lines" if suffix in _JSON else "parquet", path=given)


def _table(url: str) -> str:
    """The only table of a database, or the one that the person chooses.

    Raises:
        InitRefused: it has no table, or several and there is no terminal.
        LandingSourceRefused: there is no driver or no connection.
    """
    tables = table_columns(url)
    if not tables:
        raise InitRefused.file("the database", "has no table", "Give another one.")
    if len(tables) == 1:
        return next(iter(tables))
    return ask(
        "the database has several tables",
        "--table",
        {name: f"columns {', '.join(columns[:4])}" for name, columns in tables.items()},
    )
