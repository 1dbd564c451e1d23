"""Outcomes of forecasts: the loss of each labelled forecast, and the coverage of the bounds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.arrays import Floats
from training.population.forecast_losses import LOSS_SUMS, LOSSES, OUTSIDE, losses_of

BOUNDS = ("lower", "upper", "scale")  # of a forecast, beside its value: fields of the response and columns
WindowLosses = Mapping[int, Mapping[str, Floats]]  # sums of each loss, in the form of `Population.losses`, by window
_KEPT = pa.schema(
    [
        ("is_early", pa.bool_()), ("window", pa.int64()), ("value", pa.float64()), ("number", pa.float64()),
        ("label", pa.string()), ("replaced", pa.int64()),
    ]
)  # fmt: skip
_OUT = pa.schema([*_KEPT, *((name, pa.float64()) for name in LOSSES)])
_SQL = "is_early boolean, window long, value double, number double, label string, replaced long, " + ", ".join(
    f"{name} double" for name in LOSSES
)


@dataclass(frozen=True)
class Coverage:
    """Labels within the bounds of their forecasts.

    Attributes:
        value: share of the labels, 0 to 1.
        rows: number of labels.
    """

    value: float
    rows: int

    @classmethod
    def of(cls, losses: Mapping[str, Floats]) -> "Coverage | None":
        """The coverage by the sums of the losses; None without a label."""
        rows, outside, _ = losses.get(OUTSIDE, np.zeros(3)).tolist()
        return cls(1 - outside / rows, int(rows)) if rows else None

    @property
    def error(self) -> float:
        """Standard error, which is not 0 for a share of 0 or 1 (Agresti & Coull, 1998)."""
        share = (self.value * self.rows + 1) / (self.rows + 2)
        return sqrt(share * (1 - share) / (self.rows + 2))

    def loss_below(self, reference: "Coverage", accepted: float) -> float:
        """The loss against a reference beyond the accepted one, in standard errors."""
        return (reference.value - self.value - accepted) / hypot(reference.error, self.error)


def with_losses(labelled: DataFrame) -> DataFrame:
    """Labelled forecasts with their losses, which are null where a number is missing.

    Args:
        labelled: rows with `is_early`, `window`, `value`, `BOUNDS`, `number` (the label), `label` and `replaced`.
    """

    def on_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = {name: _floats(batch.column(name)) for name in ("number", "value", *BOUNDS)}
            losses = losses_of(numbers.pop("number"), np.stack(list(numbers.values()), axis=1))
            kept = [batch.column(each.name).cast(each.type) for each in _KEPT]
            found = [pa.array(each, pa.float64(), mask=np.isnan(each)) for each in losses.values()]
            yield pa.RecordBatch.from_arrays([*kept, *found], schema=_OUT)

    columns = ["is_early", "window", "value", *BOUNDS, "number", "label", "replaced"]
    return labelled.select(*columns).mapInArrow(on_worker, _SQL)


def loss_aggregates() -> list[Column]:
    """`LOSS_SUMS` of each loss, named `LOSS_SUM`."""
    return [
        each.alias(f"{name}_{sum_}")
        for name in LOSSES
        for sum_, each in zip(LOSS_SUMS, (F.count(name), F.sum(name), F.sum(F.col(name) * F.col(name))), strict=True)
    ]


def losses_by_window(rows: list[Any]) -> WindowLosses:
    """The sums of rows with the columns of `loss_aggregates`."""
    return {
        row["window"]: {
            name: np.asarray([float(row[f"{name}_{sum_}"] or 0) for sum_ in LOSS_SUMS]) for name in LOSSES
        }
        for row in rows
    }


def _floats(column: Any) -> Floats:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
