"""What every home reads alike: a table's own properties, its newest time, an index table's categories."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from scoring.encodings import ENCODINGS, Encoding


@dataclass(frozen=True)
class Properties:
    """What `dbt build` wrote into the properties of a feature table."""

    values: Mapping[str, str]

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """How raw values become the features."""
        return ENCODINGS.validate_json(self.values.get("feature_table.encodings", "[]"))

    @property
    def known_at(self) -> str | None:
        """The column that says from when on a row was known; None where that is its timestamp."""
        return self.values.get("feature_table.known_at_column")

    @property
    def max_age(self) -> timedelta | None:
        """How old the newest row may be; None for any age."""
        error_after = json.loads(self.values.get("feature_table.freshness", "{}")).get("error_after")
        return timedelta(**{f"{error_after['period']}s": error_after["count"]}) if error_after else None


def newest_time(rows: DataFrame, timestamp: str) -> datetime | None:
    """The time of the newest row, UTC; None where there is no row."""
    (row,) = rows.agg(F.max(F.col(timestamp).cast("timestamp"))).collect()
    newest: datetime | None = row[0] and row[0].replace(tzinfo=UTC)
    return newest


def categories(index: DataFrame) -> tuple[str, ...]:
    """The categories of an index table (category, integer) by their integer; a place without one is empty."""
    category, integer = index.columns
    found = {row[0]: row[1] for row in index.select(integer, category).collect()}
    return tuple(found.get(place, "") for place in range(max(found, default=0) + 1))
