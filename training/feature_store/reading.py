"""Reads that all homes share: table properties, the newest time, the categories of an index table."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from scoring.encodings import ENCODINGS, Encoding
from training.feature_store.point_in_time import to_micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Properties:
    """Properties that `dbt build` writes to a feature table."""

    values: Mapping[str, str]

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """Encodings from raw columns to the features."""
        return ENCODINGS.validate_json(self.values.get("feature_table.encodings", "[]"))

    @property
    def known_at(self) -> str | None:
        """Column with the time from which a row was known; None where that is its timestamp."""
        return self.values.get("feature_table.known_at_column")

    @property
    def max_age(self) -> timedelta | None:
        """Maximum age of the newest row; None for any age."""
        error_after = json.loads(self.values.get("feature_table.freshness", "{}")).get("error_after")
        return timedelta(**{f"{error_after['period']}s": error_after["count"]}) if error_after else None


def newest_time(rows: DataFrame, timestamp: str) -> datetime | None:
    """Time of the newest row in UTC; None if the table is empty."""
    # As a datetime, a client of Spark would read the time in the time zone of its process.
    (row,) = rows.agg(F.max(to_micros(timestamp))).collect()
    return None if row[0] is None else EPOCH + timedelta(microseconds=row[0])


def categories(index: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Categories of an index table (category, integer) by their integer; unused integers have an empty category."""
    by_integer = {integer: category for category, integer in index}
    return tuple(by_integer.get(number, "") for number in range(max(by_integer, default=0) + 1))
