"""Errors of the feature store, raised alike by every home."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from lakehouse.errors import LakehouseError, nearest


class FeatureNotFound(LakehouseError):
    """The table has no feature or column of that name."""

    @classmethod
    def named(cls, name: str, table: str, known: Sequence[str]) -> "FeatureNotFound":
        return cls(
            f"{table} has no column '{name}'. {nearest(name, list(known))}",
            hint="Correct the use case, or add the column to the model and run: dbt build",
        )


class TablesLeftOut(LakehouseError):
    """Some tables could not be read or published; the others were."""

    @classmethod
    def of(cls, failed: str, errors: Mapping[str, LakehouseError]) -> "TablesLeftOut":
        lines = "".join(f"\n  {err.failed}" for err in errors.values())
        hints = dict.fromkeys(err.hint for err in errors.values() if err.hint)
        return cls(f"{failed}:{lines}", hint="\n  ".join(hints))


class NotAFeatureTable(LakehouseError):
    """The table exists and declares no key."""

    @classmethod
    def named(cls, name: str) -> "NotAFeatureTable":
        from lakehouse.tables.warehouse import (
            TableName,  # imports an engine, which a server with key lookup runs without
        )

        model = TableName.parse(name).table
        return cls(
            f"{name} is not a feature table: it declares no key",
            hint=f"Declare meta.feature_catalog in {model}.yml and run: dbt build --select {model}",
        )


class DuplicateKey(LakehouseError):
    """A feature table has several rows with the same key and timestamp."""

    @classmethod
    def at(cls, table: str, key: Mapping[str, object], rows: int) -> "DuplicateKey":
        values = ", ".join(f"{name} {value}" for name, value in key.items())
        model = table.rpartition(".")[2]
        return cls(
            f"{table} has {rows} rows with the same key and timestamp ({values})",
            hint=f"List all such keys: dbt test --select {model}. Change the model to one row per key and timestamp.",
        )


class KeyTypesDiffer(LakehouseError):
    """A spine and a feature table have a key in types that cannot be compared without changing values."""

    @classmethod
    def of(cls, key: str, table: tuple[str, str], spine: tuple[str, str]) -> "KeyTypesDiffer":
        return cls(
            f"the key '{key}' is of type {table[1]} in {table[0]}, and of type {spine[1]} in the spine {spine[0]}",
            hint="Cast it in one of the models and run: dbt build. Only integers of different width, and decimals of "
            "one scale, are compared as they are.",
        )


class StaleTable(LakehouseError):
    """The newest row of a feature table is older than its model allows."""

    @classmethod
    def of(cls, name: str, newest: datetime | None, max_age: timedelta) -> "StaleTable":
        model = name.rpartition(".")[2]
        age = f"ends at {newest:%Y-%m-%d %H:%M} UTC" if newest else "has no rows"
        return cls(
            f"{name} {age}; its maximum age is {max_age}",
            hint=f"Update it: dbt build --select +{model}. Or change `freshness` in {model}.yml.",
        )


class DuplicateColumn(LakehouseError):
    """Two columns of a frame would have the same name."""

    @classmethod
    def by(cls, feature: str, table: str) -> "DuplicateColumn":
        return cls(
            f"the frame already has a column '{feature}', and {table} would add another",
            hint="Exclude one of them in the use case, or rename it in a gold model.",
        )


class TableExists(LakehouseError):
    """A table of that name exists and is not overwritten."""

    @classmethod
    def named(cls, name: str) -> "TableExists":
        return cls(f"{name} already exists and is not overwritten", hint="Choose another table name.")
