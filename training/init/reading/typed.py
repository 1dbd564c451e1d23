"""A source with types of its own as typed rows."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from lakehouse.landing.sources.arrow_types import sql_type
from lakehouse.landing.sources.declaration import LandingSource, SourceFormat, SourceLocation, SqlType
from lakehouse.landing.sources.errors import LandingSourceRefused
from lakehouse.landing.sources.reading import declared_rows, opened, source_schema
from lakehouse.tables.scan import quoted
from training.init.errors import ONE_VALUE, InitRefused
from training.init.names import column_names
from training.init.reading.formats import ISO_DATE, ISO_TIME
from training.init.reading.given import GivenColumn, GivenTable, keep_rows, without_password, write_parts

_TIMES = f"{ISO_DATE}|{ISO_TIME}"


def typed_table(
    given: str, location: SourceLocation, workspace: Path, connection: duckdb.DuckDBPyConnection
) -> GivenTable:
    """Read every column whose values are numbers, texts, dates or booleans.

    Raises:
        InitRefused: there is no such column.
        LandingSourceRefused: the source cannot be read.
    """
    found, _ = opened(location, Path.cwd())
    kinds = {field.name: sql_type(field.type) for field in found}
    read = {name: kind for name, kind in kinds.items() if kind is not None}
    ignored = [name for name, kind in kinds.items() if kind is None]
    if not read:
        raise InitRefused.file(
            without_password(given), "has no column of numbers, texts, dates or booleans", "Give another source."
        )
    names = dict(zip(column_names(read), read, strict=True))
    notes_of: dict[str, str] = {}
    while True:
        declared = LandingSource(
            **location.model_dump(exclude_defaults=True),
            columns={name: read[original] for name, original in names.items()},
            names={name: original for name, original in names.items() if name != original},
            ignored=tuple(ignored),
        )
        try:
            rows = declared_rows(declared, *opened(declared, Path.cwd()))
            write_parts(workspace / "source.parquet", source_schema(declared), rows)
            if not (dates := _dates(connection, workspace / "source.parquet", declared, notes_of)):
                break
            read |= {names[name]: kind for name, kind in dates.items()}
            notes_of |= {names[name]: f"texts that are all {kind}s" for name, kind in dates.items()}
        except LandingSourceRefused as err:
            column = names.get(str(err.column), err.column)
            if column is None or read.get(column, "string") == "string":
                raise
            read[column], notes_of[column] = "string", f"not every value is {err.kind}: stays text"
    connection.execute("set timezone = 'UTC'")
    values = ", ".join(f"{_typed_value(name, kind)} as {quoted(name)}" for name, kind in declared.columns.items())
    source = workspace / "source.parquet"
    keep_rows(connection, workspace, f"select {values}, row_number from read_parquet('{source}')")
    columns = tuple(
        GivenColumn(name, original, read[original], note=notes_of.get(original, ""))
        for name, original in names.items()
    )
    notes = list(_notes(location))
    unread = {field.name: _described(field.type, location.format) for field in found if kinds[field.name] is None}
    if unread:
        listed = ", ".join(f"{name} ({values})" for name, values in unread.items())
        notes.append(f"not read: {listed}; {ONE_VALUE}")
    is_file = location.path is not None and Path(location.path).is_file()
    landing = declared.model_dump(exclude_defaults=True, mode="json")
    return GivenTable(
        without_password(given),
        connection,
        columns,
        landing,
        False,
        Path(given) if is_file else None,
        tuple(notes),
        unread,
    )


def _dates(
    connection: duckdb.DuckDBPyConnection, file: Path, declared: LandingSource, decided: Mapping[str, str]
) -> dict[str, SqlType]:
    """Columns of texts that are all dates or times such as 2024-01-31 10:00; SQLite has no other type for them.

    Args:
        connection: DuckDB.
        file: the rows as declared.
        declared: columns and types.
        decided: columns, by their names in the source, whose types are settled.
    """
    texts = [name for name, kind in declared.columns.items() if kind == "string"]
    texts = [name for name in texts if declared.source_name(name) not in decided]
    if not texts:
        return {}
    tests = [
        f"bool_and(regexp_full_match({quoted(name)}, '{pattern}'))"
        for name in texts
        for pattern in (ISO_DATE, _TIMES)
    ]
    found = connection.execute(f"select {', '.join(tests)} from read_parquet('{file}')").fetchone() or ()
    kinds: dict[str, SqlType] = {}
    for name, only_dates, only_times in zip(texts, found[::2], found[1::2], strict=True):
        if only_times:
            kinds[name] = "date" if only_dates else "timestamp"
    return kinds


def _described(kind: pa.DataType, source: SourceFormat) -> str:
    """Values of a column that no SQL type fits."""
    if pa.types.is_null(kind):
        return "lists, bytes or JSON" if source == "database" else "no value in any row"
    if pa.types.is_nested(kind):
        return "lists or maps"
    return "objects or lists in some rows alone" if source == "json_lines" else str(kind)


def _notes(location: SourceLocation) -> Iterator[str]:
    """Sentences on what is read of a workbook."""
    if location.sheet is not None:
        yield f"the sheet is {location.sheet}"
    if location.skip_rows:
        yield f"the header is in row {location.skip_rows + 1}; the rows before it are left out"
    if location.skip_last_rows:
        last = "row is" if location.skip_last_rows == 1 else f"{location.skip_last_rows} rows are"
        yield f"the last {last} a sum, and left out"


def _typed_value(name: str, kind: SqlType) -> str:
    if kind == "timestamp":
        return f"cast({quoted(name)} at time zone 'UTC' as timestamp)"
    return f"nullif(trim({quoted(name)}), '')" if kind == "string" else quoted(name)
