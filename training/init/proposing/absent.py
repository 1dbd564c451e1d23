"""Values that mean a missing one, as the person has said."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from lakehouse.tables.scan import quoted
from lakehouse.tables.warehouse import sql_text
from training.init.errors import InitRefused
from training.init.reading.given import GivenColumn, GivenTable

_Value = int | float | str | date


def with_missing_values(table: GivenTable, values: Sequence[tuple[str, str]]) -> GivenTable:
    """The table without the values, each with its column.

    Raises:
        InitRefused: a value does not fit the type of its column, or no row has it.
    """
    if not values:
        return table
    connection, columns = table.connection, {column.name: column for column in table.columns}
    for name, text in values:
        column = columns[name]
        value = _read(column, text)
        columns[name] = replace(column, missing_values=(*column.missing_values, value))
        found = connection.execute(f"select 1 from rows where {quoted(name)} = {sql_value(value)} limit 1").fetchone()
        if found is None:
            raise InitRefused.file(f"--missing {name}={text}", "names a value that no row has", "Leave it out.")
    terms = ", ".join(
        f"{without(quoted(name), column)} as {quoted(name)}"
        for name, column in columns.items()
        if column.missing_values
    )
    connection.execute("alter view rows rename to rows_of_source")
    connection.execute(f"create view rows as select * replace ({terms}) from rows_of_source")
    return replace(table, columns=tuple(columns[column.name] for column in table.columns))


def without(value: str, column: GivenColumn) -> str:
    """SQL of a value, NULL where it means a missing one."""
    for absent in column.missing_values:
        value = f"nullif({value}, {sql_value(absent)})"
    return value


def sql_value(value: _Value) -> str:
    """A value in SQL."""
    if isinstance(value, str):
        return sql_text(value)
    if isinstance(value, float):
        return f"cast({value!r} as double)"  # a decimal beside a double becomes a decimal
    return f"date'{value}'" if isinstance(value, date) else str(value)


def _read(column: GivenColumn, text: str) -> _Value:
    try:
        if column.kind == "bigint":
            return int(text)
        if column.kind == "double":
            return float(text)
        if column.kind in {"date", "timestamp"}:
            return date.fromisoformat(text)
    except ValueError:
        raise InitRefused.file(
            f"--missing {column.name}={text}", f"is no {column.kind}", "Write dates as 9999-12-31."
        ) from None
    return text
