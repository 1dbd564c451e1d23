"""A feature reader over tables in memory, for unit tests of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from scoring.encodings import ENCODINGS
from training.feature_store.joined_rows import ArrowRows, JoinedRows
from training.feature_store.store import FeatureReader, Unreadable
from training.feature_store.tables import Feature, FeatureLookup, FeatureTable, Snapshot, Spine, Versions
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class InMemoryFeatureReader:
    """Returns the same joined rows as every frame, and records the requested versions.

    Attributes:
        joined: the spine with its features.
        declared: the features of each feature table.
        encodings: encodings of the first feature table, as dbt publishes them.
        vocabularies: the categories of each index table.
    """

    joined: pa.Table
    declared: Mapping[str, Sequence[str]]
    encodings: Sequence[Mapping[str, Any]] = ()
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requested: dict[str, int | None] = field(default_factory=dict)
    spines: list[str] = field(default_factory=list)  # spine table of each frame that was read
    max_age: timedelta | None = None  # of every table, whose newest row is of 2020

    def tables(self, unreadable: Unreadable | None = None) -> list[FeatureTable]:
        del unreadable  # a dictionary can always be read
        return [self.table(name) for name in self.declared]

    def table(self, name: str, version: int | None = None) -> FeatureTable:
        self.requested[name] = version
        features = tuple(Feature(feature, "double", "") for feature in self.declared[name])
        encodings = ENCODINGS.validate_python(self.encodings if name == next(iter(self.declared)) else ())
        newest = datetime(2020, 1, 1, tzinfo=UTC)
        return FeatureTable(
            name,
            version or 9,
            "",
            ("entity",),
            "known_at",
            features,
            encodings,
            max_age=self.max_age,
            newest=newest,
        )

    def vocabulary(self, index_table: str, version: int | None = None) -> tuple[tuple[str, ...], int]:
        self.requested[index_table] = version
        return self.vocabularies[index_table], version or 9

    def training_frame(
        self, spine: Spine, lookups: Sequence[FeatureLookup], versions: Versions | None = None
    ) -> tuple[JoinedRows, Versions]:
        self.spines.append(spine.table)
        columns = [*spine.columns, *(name for lookup in lookups for name in lookup.columns)]
        read = {name: (versions or {}).get(name, 9) for name in [spine.table, *(lookup.table for lookup in lookups)]}
        return ArrowRows(self.joined.select(columns)), read

    def snapshot(self, name: str, version: int) -> Snapshot:
        return Snapshot(name, version, f"shelf/{name}", "0", self.joined.num_rows, {"entity": "bigint"})


def _conforms(reader: InMemoryFeatureReader) -> FeatureReader:
    return reader


def use_case(*lookups: str | dict[str, Any]) -> UseCase:
    """A use case over these feature tables, its spine `gold.labels (entity, at, label)`."""
    tables = [{"table": lookup} if isinstance(lookup, str) else lookup for lookup in lookups]
    return UseCase.model_validate(
        {
            "name": "shelf",
            "task": "binary",
            "labels": {"table": "gold.labels", "entity": "entity", "timestamp": "at", "column": "label"},
            "features": tables,
            "search": {"families": ["logistic_regression"]},
            "promotion": {"minimum": 0.5},
            "serving": {"endpoint": "shelf"},
            "golden_request": {},
        }
    )
