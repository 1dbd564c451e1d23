"""Declared location and columns of a landing source: `meta.landing_source` of its model."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from lakehouse.declaration import Declaration
from lakehouse.errors import nearest
from lakehouse.landing.sources.errors import LandingSourceRefused

SourceFormat = Literal["parquet", "json_lines", "excel", "database", "delta"]
SqlType = Literal["bigint", "double", "boolean", "string", "date", "timestamp"]


class SourceLocation(Declaration):
    """Place of a source.

    Attributes:
        format: kind of the source.
        path: file, folder or pattern with `*`; the folder of a Delta table. Relative paths start at the project.
        url: address of a database, such as `sqlite:///shop.db` or `postgresql://user@host/shop`.
        url_variable: environment variable that has the address instead, since dbt writes declarations to its logs.
        table: table of the database, with its schema if needed.
        sheet: sheet of a workbook; the first one by default.
        skip_rows: rows of a sheet before its header.
        skip_last_rows: rows of a sheet behind the last one of its table, such as a sum; empty ones do not count.
    """

    format: SourceFormat
    path: str | None = None
    url: str | None = None
    url_variable: str | None = None
    table: str | None = None
    sheet: str | None = None
    skip_rows: int = Field(default=0, ge=0)
    skip_last_rows: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _place_fits_the_format(self) -> Self:
        is_database = self.format == "database"
        addresses = bool(self.url) + bool(self.url_variable)
        if is_database and not (addresses == 1 and self.table):
            raise ValueError("a database needs `table`, and `url` or `url_variable`")
        if not is_database and not self.path:
            raise ValueError(f"{self.format} needs `path`")
        if is_database == bool(self.path) or is_database < bool(addresses or self.table):
            places = "`url` or `url_variable`, and `table`" if is_database else "`path`"
            raise ValueError(f"{self.format} takes {places} alone")
        if self.format != "excel" and (self.sheet or self.skip_rows or self.skip_last_rows):
            raise ValueError("`sheet`, `skip_rows` and `skip_last_rows` are for format: excel")
        return self

    def described(self) -> str:
        """The source in a message, without a password."""
        return f"the table {self.table} of the database" if self.format == "database" else f"the source {self.path}"

    @property
    def declared_types(self) -> Mapping[str, SqlType]:
        """Declared types by name in the source; none while they are not known."""
        return {}

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns that are not read; none while they are not known."""
        return ()

    @property
    def address(self) -> str:
        """Address of the database.

        Raises:
            LandingSourceRefused: the environment variable is not set.
        """
        if self.url_variable is None:
            return str(self.url)
        if not (address := os.environ.get(self.url_variable)):
            raise LandingSourceRefused.no_variable(self.described(), self.url_variable)
        return address

    def resolved(self, project: Path) -> Path:
        """Absolute path of the source."""
        return project / str(self.path)


class LandingSource(SourceLocation):
    """A source and the columns that its model has.

    Attributes:
        columns: SQL type of each column.
        names: names in the source, where the columns are named differently; `address.zip` is a field of an object.
        ignored: columns of the source that are not read.
    """

    columns: dict[str, SqlType] = Field(min_length=1)
    names: dict[str, str] = Field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: str, declared: Mapping[str, Any]) -> Self:
        """Check the declaration of a model.

        Raises:
            LandingSourceRefused: an option is unknown, missing or invalid, or has a password.
        """
        try:
            source = cls.model_validate(dict(declared))
        except ValidationError as err:
            raise LandingSourceRefused.invalid(model, [_problem(error) for error in err.errors()]) from err
        if source.url and urlsplit(source.url).password is not None:
            problem = "url: it has a password, which dbt would write to its logs: name a `url_variable`"
            raise LandingSourceRefused.invalid(model, [problem])
        return source

    @property
    def declared_types(self) -> Mapping[str, SqlType]:
        """Declared types by name in the source."""
        return {self.source_name(column): kind for column, kind in self.columns.items()}

    @property
    def unread(self) -> tuple[str, ...]:
        """Columns and objects of the source that are not read."""
        return self.ignored

    def source_name(self, column: str) -> str:
        """Name of a column in the source."""
        return self.names.get(column, column)


def _problem(error: Any) -> str:
    option = str(error["loc"][0]) if error["loc"] else "landing_source"
    if error["type"] == "extra_forbidden":
        return f"{option}: no such option. {nearest(option, list(LandingSource.model_fields))}"
    return f"{option}: {error['msg'].removeprefix('Value error, ')}"
