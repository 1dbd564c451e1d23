"""Rows of an online table, from the newest rows of a feature table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import StringType

from lakehouse.tables.array_columns import numbers_of
from lakehouse.tables.online_store import EntityKey, KeyKind, OnlineTableRefused, StoredRow, TextsNotPublished
from training.feature_store.key_types import key_kind
from training.feature_store.tables import FeatureTable

_BATCH = 65_536  # rows per step of a publication


def key_kinds(table: FeatureTable, rows: DataFrame) -> dict[str, KeyKind]:
    """Kind of each key of a table.

    Raises:
        OnlineTableRefused: a request has no exact value of the type of a key.
    """
    kinds: dict[str, KeyKind] = {}
    for column in rows.schema:
        kind = key_kind(column.dataType)
        if kind is None:
            raise OnlineTableRefused.key_type(table.name, column.name, column.dataType.simpleString())
        kinds[column.name] = kind
    return kinds


def require_numbers(table: FeatureTable, rows: DataFrame) -> None:
    """Check that no feature is a text.

    Raises:
        TextsNotPublished: a feature is one.
    """
    texts = [each.name for each in table.features if isinstance(rows.schema[each.name].dataType, StringType)]
    if texts:
        raise TextsNotPublished.of(table.name, texts)


def online_rows(
    newest: DataFrame, keys: int, vectors: Mapping[str, Sequence[str]]
) -> Iterator[tuple[EntityKey, int, StoredRow]]:
    """The rows in the layout of the online store, converted to Python in batches to bound memory.

    Args:
        vectors: the features of each column that holds several of them as an array.
    """
    for rows in newest.toArrow().to_batches(max_chunksize=_BATCH):
        columns = rows.columns
        # NULL becomes NaN, and an integer beyond 2^53 the nearest double, as in a training frame.
        features = np.column_stack(
            [
                numbers_of(column, name, len(vectors[name]))
                if name in vectors
                else column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
                for name, column in zip(rows.schema.names[keys + 1 :], columns[keys + 1 :], strict=True)
            ]
        )
        entities = zip(*(_key_values(column) for column in columns[:keys]), strict=True)
        yield from zip(entities, columns[keys].to_pylist(), features, strict=True)


def _key_values(column: pa.Array) -> list[Any]:
    """Keys as a request names them: a decimal without a fraction is an integer."""
    values: list[Any] = column.to_pylist()
    whole = pa.types.is_decimal(column.type) and column.type.scale == 0
    return [None if value is None else int(value) for value in values] if whole else values
