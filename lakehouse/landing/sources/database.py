"""A table of a database as batches of rows, through SQLAlchemy."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlalchemy import ColumnElement, MetaData, String, Table, create_engine, inspect, literal, select, type_coerce
from sqlalchemy.engine import Engine
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.sql.sqltypes import TypeEngine

from lakehouse.errors import nearest
from lakehouse.landing.sources.arrow_types import ARROW, KINDS, as_type
from lakehouse.landing.sources.declaration import SqlType
from lakehouse.landing.sources.errors import LandingSourceRefused

_BATCH = 10_000
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def database(
    url: str, table: str, declared: Mapping[str, SqlType] | None = None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The rows of a table or view, in the order of the primary key if there is one.

    Arrays, bytes and JSON are columns of NULL, unless a type is declared for them.

    Args:
        url: address of the database.
        table: name of the table, with its schema if needed.
        declared: types of columns that are not taken from the database.

    Raises:
        LandingSourceRefused: there is no driver, no connection, no such table, or a value of another type.
    """
    source = f"the table {table} of the database"
    engine = _engine(url)
    try:
        rows = _reflected(engine, table, source)
    except SQLAlchemyError as err:
        raise LandingSourceRefused.unreadable(source, err) from err
    finally:
        engine.dispose()  # rows that nobody reads hold no connection
    kinds = {column.name: (declared or {}).get(column.name) or _type(column.type) for column in rows.columns}
    schema = pa.schema([(name, ARROW[kind] if kind else pa.null()) for name, kind in kinds.items()])
    return schema, _batches(engine, rows, schema, kinds, source)


def table_columns(url: str) -> dict[str, list[str]]:
    """Names of the tables and views of a database, each with its columns.

    Raises:
        LandingSourceRefused: there is no driver or no connection.
    """
    engine = _engine(url)
    try:
        inspector = inspect(engine)
        names = [*inspector.get_table_names(), *inspector.get_view_names()]
        return {name: [column["name"] for column in inspector.get_columns(name)] for name in names}
    except SQLAlchemyError as err:
        raise LandingSourceRefused.unreadable("the database", err) from err
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    scheme, separator, rest = url.partition("://")
    try:
        return create_engine(f"{_DRIVERS.get(scheme, scheme)}{separator}{rest}")
    except (NoSuchModuleError, ImportError) as err:
        raise LandingSourceRefused.no_driver(scheme, err) from err
    except SQLAlchemyError as err:
        raise LandingSourceRefused.unreadable("the address of the database", err) from err


def _reflected(engine: Engine, name: str, source: str) -> Table:
    schema, _, table = name.rpartition(".")
    inspector = inspect(engine)
    known = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
    if table not in known:
        raise LandingSourceRefused.no_table(source, nearest(table, known))
    return Table(table, MetaData(), schema=schema or None, autoload_with=engine)


def _type(kind: TypeEngine[Any]) -> SqlType | None:
    """SQL type of a column; None for nested values and bytes."""
    try:
        python = kind.python_type
    except NotImplementedError:
        return "string"
    order: dict[type, SqlType | None] = {
        bool: "boolean",
        int: "bigint",
        float: "double",
        Decimal: "double",
        datetime: "timestamp",
        date: "date",
        list: None,
        dict: None,
        bytes: None,
    }
    return order.get(python, "string")


def _batches(
    engine: Engine, table: Table, schema: pa.Schema, kinds: Mapping[str, SqlType | None], source: str
) -> Iterator[pa.RecordBatch]:
    # SQLite stores any value in any column: its values are checked here, not where SQLAlchemy expects them to fit.
    is_loose = engine.dialect.name == "sqlite"
    read = [column for column in table.columns if kinds[column.name] is not None]
    terms: list[ColumnElement[Any]] = [
        type_coerce(column, String()) if is_loose or kinds[column.name] == "string" else column for column in read
    ]
    query = select(*terms or [literal(1)]).select_from(table).order_by(*table.primary_key.columns)
    try:
        with engine.connect().execution_options(yield_per=_BATCH) as connection:
            for block in connection.execute(query).partitions():
                values = {column.name: [row[i] for row in block] for i, column in enumerate(read)}
                columns = [
                    _array(values.get(name, [None] * len(block)), name, kind, source) for name, kind in kinds.items()
                ]
                yield pa.record_batch(columns, schema=schema)
    except SQLAlchemyError as err:
        raise LandingSourceRefused.unreadable(source, err) from err
    finally:
        engine.dispose()


def _array(values: list[Any], name: str, kind: SqlType | None, source: str) -> pa.Array:
    if kind is None:
        return pa.nulls(len(values))
    if kind == "string":
        return pa.array([None if value is None else str(value) for value in values], ARROW[kind])
    if kind == "double":
        values = [float(value) if isinstance(value, Decimal | int) else value for value in values]
    if kind == "boolean":  # as SQLite has them
        values = [bool(value) if value in (0, 1) else value for value in values]
    try:
        if kind in {"date", "timestamp"} and any(isinstance(value, str) for value in values):
            texts = pa.array(values, pa.string())
            return texts.cast(pa.date32()) if kind == "date" else as_type(texts, "timestamp", source, name)
        return pa.array(values, ARROW[kind])
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as err:
        raise LandingSourceRefused.value(source, name, KINDS[kind], err) from err
