"""Reads a landing source as rows of its declared columns."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from lakehouse.landing.options import ROW_NUMBER
from lakehouse.landing.sources import files
from lakehouse.landing.sources.arrow_types import ARROW, as_type
from lakehouse.landing.sources.declaration import LandingSource, SourceLocation
from lakehouse.landing.sources.errors import LandingSourceRefused
from lakehouse.landing.sources.nested import flat_batches, flat_schema
from lakehouse.landing.sources.workbook import workbook


def opened(location: SourceLocation, project: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Columns of a source, with the fields of objects as columns, and its rows in batches.

    Raises:
        LandingFileMissing: the source does not exist.
        LandingSourceRefused: it cannot be read, or has two columns of one name.
    """
    schema, batches = _opened(location, project)
    if any(pa.types.is_struct(field.type) for field in schema):
        schema, batches = flat_schema(schema, location.unread), flat_batches(batches, location.unread)
    names = Counter(schema.names)
    if twice := [name for name, times in names.items() if times > 1]:
        raise LandingSourceRefused.twice(location.described(), twice)
    return schema, batches


def _opened(location: SourceLocation, project: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if location.format == "database":
        from lakehouse.landing.sources.database import database  # SQLAlchemy, which only a database needs

        return database(location.address, str(location.table), location.declared_types)
    path = location.resolved(project)
    if location.format == "excel":
        return workbook(path, location.sheet, location.skip_rows, location.skip_last_rows)
    if location.format == "json_lines":
        return files.json_lines(path, location.unread)
    return files.parquet(path) if location.format == "parquet" else files.delta(path)


def source_schema(source: LandingSource) -> pa.Schema:
    """Columns of the rows of a source: the declared ones and `row_number`."""
    fields = [(column, ARROW[kind]) for column, kind in source.columns.items()]
    return pa.schema([*fields, (ROW_NUMBER, pa.int64())])


def source_rows(source: LandingSource, project: Path) -> Iterator[pa.Table]:
    """Rows of a source with the declared columns and types, and `row_number` from 1 in the source's order.

    Raises:
        LandingFileMissing: the source does not exist.
        LandingSourceRefused: it cannot be read, lacks a declared column, has another one, or has no rows.
    """
    return declared_rows(source, *opened(source, project))


def declared_rows(source: LandingSource, found: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows of an open source as `source_rows` has them.

    Raises:
        LandingSourceRefused: it cannot be read, lacks a declared column, has another one, or has no rows.
    """
    wanted = {source.source_name(column) for column in source.columns}
    missing, extra = wanted - set(found.names), set(found.names) - wanted - set(source.ignored)
    if missing or extra:
        raise LandingSourceRefused.columns(source.described(), missing, extra)
    count = 0
    for batch in batches:
        columns = [
            as_type(batch.column(source.source_name(column)), kind, source.described(), column)
            for column, kind in source.columns.items()
        ]
        numbers = pa.array(range(count + 1, count + batch.num_rows + 1), pa.int64())
        count += batch.num_rows
        if batch.num_rows:
            yield pa.table([*columns, numbers], schema=source_schema(source))
    if not count:
        raise LandingSourceRefused.no_rows(source.described())
