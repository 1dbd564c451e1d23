"""A table of a database as batches of rows, through SQLAlchemy."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlalchemy import MetaData, Table, create_engine, inspect, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.sql.sqltypes import TypeEngine

from lakehouse.errors import nearest
from lakehouse.landing.sources.arrow_types import ARROW
from lakehouse.landing.sources.declaration import SqlType
from lakehouse.landing.sources.errors import LandingSourceRefused

_BATCH = 10_000
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def database(url: str, table: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The rows of a table or view, in the order of the primary key if there is one.

    Raises:
        LandingSourceRefused: there is no driver, no connection, no such table, or a value of another type.
    """
    source = f"the table {table} of the database"
    engine = _engine(url)
    try:
        rows = _reflected(engine, table, source)
    except SQLAlchemyError as err:
        raise LandingSourceRefused.unreadable(source, err) from err
    schema = pa.schema([(column.name, ARROW[_type(column.type)]) for column in rows.columns])
    return schema, _batches(engine, rows, schema, source)


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


def _type(kind: TypeEngine[Any]) -> SqlType:
    try:
        python = kind.python_type
    except NotImplementedError:
        return "string"
    order: dict[type, SqlType] = {
        bool: "boolean",
        int: "bigint",
        float: "double",
        Decimal: "double",
        datetime: "timestamp",
        date: "date",
    }
    return order.get(python, "string")


def _batches(engine: Engine, table: Table, schema: pa.Schema, source: str) -> Iterator[pa.RecordBatch]:
    query = select(table).order_by(*table.primary_key.columns)
    try:
        with engine.connect().execution_options(yield_per=_BATCH) as connection:
            for block in connection.execute(query).partitions():
                columns = [_array([row[i] for row in block], field, source) for i, field in enumerate(schema)]
                yield pa.record_batch(columns, schema=schema)
    except SQLAlchemyError as err:
        raise LandingSourceRefused.unreadable(source, err) from err
    finally:
        engine.dispose()


def _array(values: list[Any], field: pa.Field, source: str) -> pa.Array:
    if pa.types.is_string(field.type):
        return pa.array([None if value is None else str(value) for value in values], field.type)
    if pa.types.is_floating(field.type):
        values = [float(value) if isinstance(value, Decimal | int) else value for value in values]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as err:
        raise LandingSourceRefused.value(source, field.name, str(field.type), err) from err
