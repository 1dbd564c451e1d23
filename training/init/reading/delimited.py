"""A delimited text file as typed rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.landing.errors import LandingFileRefused
from lakehouse.landing.landing_file import delimited_parts, matching_files
from lakehouse.landing.options import LandingOptions
from lakehouse.landing.undeclared import SHARE, UNDECLARED_SHAPES
from lakehouse.tables.scan import quoted
from training.init.errors import InitRefused
from training.init.names import column_names
from training.init.reading.dates import parsed
from training.init.reading.dialect import DELIMITERS, Dialect, find_dialect, second_opinion
from training.init.reading.encoding import decoded_file
from training.init.reading.formats import TextFormat, find_formats, text_list
from training.init.reading.given import GivenColumn, GivenTable, absolute, keep_rows, write_parts
from training.init.reading.habits import Habits


def delimited_table(path: Path, habits: Habits, workspace: Path, connection: duckdb.DuckDBPyConnection) -> GivenTable:
    """Decode the file, find its format, and type its columns.

    Raises:
        InitRefused: the file is empty, has no table, or is ambiguous.
        LandingFileRefused: a row is broken, with its line.
    """
    files = matching_files(absolute(path))
    dialect, encoding, found = _dialect(files, habits)
    names = column_names(dialect.header)
    landing = _landing(dialect, encoding, names, embedded_rows=habits.embedded_rows)
    landing = _written_texts(connection, workspace, files, landing)
    formats = find_formats(connection, names, replace(habits, words=_columns_of_words(habits, names, dialect.header)))
    landing |= _converted(formats, by_column=bool(habits.words))
    landing |= _unconverted(connection, names, landing)
    _materialize(connection, workspace, formats)
    columns = tuple(
        GivenColumn(
            name, header, formats[name].kind, True, formats[name].truth, formats[name].note, formats[name].missing
        )
        for name, header in zip(names, dialect.header, strict=True)
    )
    notes = tuple(filter(None, [*found, *_said(dialect, landing)]))
    if "*" not in str(path):
        return GivenTable(str(path), connection, columns, landing, True, path, notes)
    return GivenTable(str(path), connection, columns, {"path": str(path), **landing}, True, None, notes)


def _written_texts(
    connection: duckdb.DuckDBPyConnection, workspace: Path, files: Sequence[Path], landing: dict[str, Any]
) -> dict[str, Any]:
    """Write the rows as the table `texts`; the options with which they could be read.

    A backslash that escapes quotes may stand far behind the head of the file, from which the format was found.

    Raises:
        LandingFileRefused: a row is broken, with its line.
    """
    schema = pa.schema([(name, pa.string()) for name in landing["columns"]])
    texts = workspace / "texts.parquet"
    try:
        options = LandingOptions(path="-", **landing)
        write_parts(texts, schema, (part for file in files for part in delimited_parts(file, options)))
    except LandingFileRefused as err:
        if err.correction is None or err.correction.option != "escape":
            raise
        return _written_texts(connection, workspace, files, {**landing, "escape": "\\"})
    connection.execute(f"create view texts as select * from read_parquet('{texts}')")
    return landing


def _columns_of_words(habits: Habits, names: Sequence[str], header: Sequence[str]) -> tuple[str, ...]:
    """Columns in which words such as `unknown` are values, as named in SQL.

    Raises:
        InitRefused: there is no such column.
    """
    known = dict(zip(header, names, strict=True)) | dict(zip(names, names, strict=True))
    for name in habits.words:
        if name not in known:
            raise InitRefused.no_column("--words", name, [*known], list(header))
    return tuple(known[name] for name in habits.words)


def _dialect(files: Sequence[Path], habits: Habits) -> tuple[Dialect, str, list[str]]:
    """Format and encoding of the first file, which all others have too, and notes.

    Raises:
        InitRefused: a file has another format or encoding.
    """
    first = decoded_file(files[0], habits.encoding)
    dialect = find_dialect(first)
    for other in (decoded_file(file, habits.encoding) for file in files[1:]):
        formats = zip(_formats(dialect, first.encoding), _formats(find_dialect(other), other.encoding), strict=True)
        for (what, expected), (_, value) in formats:
            if value != expected:
                raise InitRefused.file(
                    other.path,
                    f"differs from {first.path.name} in {what}: {value!r}, not {expected!r}",
                    "The files of a pattern have one format: name it with --encoding, or export one of them again."
                    if what == "encoding"
                    else "The files of a pattern have one format: export it again, or name fewer files.",
                )
    several = f"{len(files)} files, from {files[0].name} to {files[-1].name}" if len(files) > 1 else ""
    return dialect, first.encoding, [several, first.note, second_opinion(first, dialect)]


def _formats(dialect: Dialect, encoding: str) -> list[tuple[str, object]]:
    return [
        ("encoding", encoding),
        ("delimiter", dialect.delimiter),
        ("header", ", ".join(dialect.header)),
        ("lines before the header", dialect.skip_lines),
        ("lines behind the last row", dialect.skip_last_lines),
        ("the character that escapes a quote", dialect.escape),
    ]


def _landing(dialect: Dialect, encoding: str, names: list[str], *, embedded_rows: bool) -> dict[str, Any]:
    """The options of `landing_file` that differ from their defaults."""
    options: dict[str, Any] = {"delimiter": dialect.delimiter, "columns": names}
    if list(dialect.header) != names:
        options["header"] = list(dialect.header)
    if encoding != "utf-8":
        options["encoding"] = encoding
    if dialect.escape:
        options["escape"] = dialect.escape
    if embedded_rows:
        options["embedded_rows"] = True
    if dialect.skip_lines:
        options["skip_lines"] = dialect.skip_lines
    if dialect.skip_last_lines:
        options["skip_last_lines"] = dialect.skip_last_lines
    return options


def _converted(formats: Mapping[str, TextFormat], *, by_column: bool) -> dict[str, Any]:
    numbers = {name: each for name, each in formats.items() if each.decimal}
    dates = {name: each.date_format for name, each in formats.items() if each.date_format}
    missing: Any = sorted({word for each in formats.values() for word in each.missing})
    if by_column:  # a word that is missing in one is a value in another
        missing = {name: list(each.missing) for name, each in formats.items() if each.missing}
    options: dict[str, Any] = {}
    if numbers:
        first = next(iter(numbers.values()))
        options |= {"numbers": list(numbers), "decimal": first.decimal, "thousands": first.thousands}
    if len(set(dates.values())) == 1:
        options |= {"dates": list(dates), "date_format": next(iter(dates.values()))}
    elif dates:
        options |= {"dates": dates}
    return options | ({"missing": missing} if missing else {})


def _unconverted(
    connection: duckdb.DuckDBPyConnection, columns: list[str], converted: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns that stay text although the landing model might take them for numbers or dates."""
    declared = {*converted.get("numbers", ()), *converted.get("dates", ())}
    kept = [column for column in columns if column not in declared and _looks_undeclared(connection, column)]
    return {"texts": kept} if kept else {}


def _looks_undeclared(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    counts = ", ".join(
        f"count(*) filter ({shape}), count(*) filter ({shape} and {evidence})"
        for shape, evidence in (
            [f"regexp_matches(v, {text_list([pattern])})" for pattern in patterns] for patterns in UNDECLARED_SHAPES
        )
    )
    row = connection.execute(
        f"select count(*), {counts} from (select {quoted(column)} as v from texts) where v <> ''"
    )
    filled, *found = row.fetchone() or (0,)
    return any(alike >= SHARE * filled and shown for alike, shown in zip(found[::2], found[1::2], strict=True))


def _materialize(connection: duckdb.DuckDBPyConnection, workspace: Path, formats: Mapping[str, TextFormat]) -> None:
    values = ", ".join(f"{_value(name, each)} as {quoted(name)}" for name, each in formats.items())
    keep_rows(connection, workspace, f"select {values}, file_row_number + 1 as row_number "
          f"from read_parquet('{workspace / 'texts.parquet'}', file_row_number=true)")  # fmt: skip


def _value(column: str, text: TextFormat) -> str:
    """A column of texts in its type, in SQL of DuckDB."""
    value = f"nullif(trim({quoted(column)}), '')"
    if text.missing:
        value = f"case when {value} not in ({text_list(text.missing)}) then {value} end"
    if text.truth:
        return f"case lower({value}) when '{text.truth[0]}' then true when '{text.truth[1]}' then false end"
    if text.decimal:
        value = f"replace(replace({value}, '{text.thousands or ''}', ''), '{text.decimal}', '.')"
    if text.date_format:
        return f"cast({parsed(value, text.date_format)} as {text.kind})"
    if text.kind == "timestamp":
        return f"cast(try_cast({value} as timestamptz) at time zone 'UTC' as timestamp)"
    return f"try_cast({value} as {text.kind})" if text.kind != "string" else value


def _said(dialect: Dialect, landing: Mapping[str, Any]) -> Iterable[str]:
    if dialect.skip_lines:
        yield f"the header is in line {dialect.skip_lines + 1}; the lines before it are left out"
    if dialect.skip_last_lines:
        count = dialect.skip_last_lines
        lines = "the last line is no row and is" if count == 1 else f"the last {count} lines are no rows and are"
        yield f"{lines} left out"
    said = [f"fields between {DELIMITERS[dialect.delimiter]}s"]
    if "encoding" in landing:
        said.append(f"encoding {landing['encoding']}")
    if "escape" in landing:
        said.append("a backslash escapes quotes")
    if "decimal" in landing:
        said.append(f"decimal '{landing['decimal']}'")
    if "date_format" in landing:
        said.append(f"dates {landing['date_format']}")
    elif isinstance(landing.get("dates"), dict):
        said += [f"{column} {pattern}" for column, pattern in landing["dates"].items()]
    if "missing" in landing:
        missing = landing["missing"]
        words = sorted({*chain(*missing.values())}) if isinstance(missing, dict) else missing
        said.append(f"missing values {', '.join(words)}")
    yield ", ".join(said)
