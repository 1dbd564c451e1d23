"""Counts of a payload table by window, in one pass on Spark: workers bin records, and only counts leave them.

A row of the result is (window, slice, name, bin, count). Counts of partitions add up, so the pass scales with the
cluster, and the driver gets as many numbers as there are windows, slices and bins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from deployment.monitoring.unpacking import REASONS, Exchanged, unpack
from lakehouse.arrays import Floats
from training.population.bins import ABSENT, NOT_SENT, BinIndices, ColumnBins

ALL, PREDICTION = "", "$prediction"  # name of the whole window, and of the prediction
STATUS, VOLUME, SLOW, LATENCY, LEFT_OUT, RECORDS = "$status", "$volume", "$slow", "$latency", "$left_out", "$records"
# Rows that belong to no window are counted in window 0 under these names. Each row has one of them, or a status.
NO_TIME, FUTURE, OUTSIDE, OTHER_VERSION = "$no_time", "$future", "$outside", "$other_version"
LATENCY_EDGES = tuple(float(edge) for edge in np.geomspace(0.1, 60_000, 80))  # milliseconds
TAIL = len(ColumnBins.TAIL)
SCHEMA = "window long, slice string, name string, bin long, count double"
_ARROW = pa.schema(
    [
        ("window", pa.int64()), ("slice", pa.string()), ("name", pa.string()), ("bin", pa.int64()),
        ("count", pa.float64()),
    ]
)  # fmt: skip
PayloadBatches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class SliceColumn:
    """The raw column and bins by which traffic is divided."""

    column: str
    bins: ColumnBins


@dataclass(frozen=True)
class CountPlan:
    """Everything that a worker needs to count.

    Attributes:
        first, length, windows: start of the first window and length, in microseconds; number of windows.
        now: time of the run, in microseconds; later rows come from a clock that is ahead.
        inputs: bins by raw column.
        slices: by name.
        response_field: response field with the prediction; empty if none is monitored.
        prediction: bins of the prediction.
        has_bounds: True if predictions are forecasts whose losses are counted.
        served: IDs of the version among the served entities; empty counts every row.
        max_ms: time from which a request is slow; None counts none as slow.
    """

    first: int
    length: int
    windows: int
    now: int
    inputs: Mapping[str, ColumnBins]
    slices: Mapping[str, SliceColumn] = field(default_factory=dict)
    response_field: str = ""
    prediction: ColumnBins | None = None
    has_bounds: bool = False
    served: frozenset[str] = frozenset()
    max_ms: float | None = None

    def is_ours(self, served: str | None) -> bool:
        """True for a row of the version, or of an unknown one."""
        return not self.served or served is None or served in self.served


def count(rows: DataFrame, plan: CountPlan) -> DataFrame:
    """Counts by window, slice, column and bin, of rows with the columns of `payload.COLUMNS`; evaluated when read."""

    def on_worker(batches: PayloadBatches) -> PayloadBatches:
        counter = BatchCounter(plan)
        for batch in batches:
            counter.add(batch)
        yield counter.result()

    needed = rows.select("at", "status", "duration_ms", "sampling", "request", "response", "served")
    partial = needed.mapInArrow(on_worker, SCHEMA)
    return partial.groupBy("window", "slice", "name", "bin").agg(F.sum("count").alias("count"))


class BatchCounter:
    """Adds up the counts of the batches of one partition."""

    def __init__(self, plan: CountPlan) -> None:
        self._plan = plan
        self._counts: dict[tuple[str, str], Floats] = {}  # (windows, [categories of the slice,] bins)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch with the columns of `count`."""
        plan = self._plan
        columns = {name: batch.column(name) for name in batch.schema.names}
        at = np.asarray(columns["at"].fill_null(plan.first).to_numpy(zero_copy_only=False), dtype=np.int64)
        timed = np.asarray(columns["at"].is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)
        ours = np.asarray([plan.is_ours(each) for each in columns["served"].to_pylist()], dtype=np.bool_)
        windows = (at - plan.first) // plan.length
        known = timed & (at <= plan.now)
        inside = known & (windows >= 0) & (windows < plan.windows)
        for name, rows in (
            (NO_TIME, ~timed),
            (FUTURE, timed & ~known),
            (OUTSIDE, known & ~inside),
            (OTHER_VERSION, inside & ~ours),
        ):
            self._add_scalar(name, float(rows.sum()))
        chosen = np.flatnonzero(inside & ours)
        windows = windows[chosen]
        status = _floats(columns["status"])[chosen].astype(np.int64)
        sampling = _floats(columns["sampling"])[chosen]
        self._bin(ALL, STATUS, windows, np.clip(status // 100, 0, 5), 6)
        self._bin(ALL, VOLUME, windows, np.zeros_like(windows), 1, 1 / np.where(sampling > 0, sampling, 1))
        self._add_durations(columns["duration_ms"], chosen, windows)
        self._add_records(columns, chosen, windows, status)

    def _add_durations(self, durations: pa.Array, chosen: npt.NDArray[np.intp], windows: BinIndices) -> None:
        """Count the requests whose duration is known and not negative."""
        every = np.asarray(durations.to_numpy(zero_copy_only=False), dtype=np.float64)[chosen]
        measured = every >= 0  # not NaN either
        duration, windows = every[measured], windows[measured]
        self._bin(ALL, LATENCY, windows, np.searchsorted(LATENCY_EDGES, duration), len(LATENCY_EDGES) + 1)
        if (limit := self._plan.max_ms) is not None:
            self._bin(ALL, SLOW, windows, (duration > limit).astype(np.int64), 2)

    def _add_records(
        self, columns: Mapping[str, Any], chosen: npt.NDArray[np.intp], windows: BinIndices, status: BinIndices
    ) -> None:
        # As bytes: a text that is no UTF-8 is no JSON either, and must not end the run.
        requests, responses = (
            columns[name].take(pa.array(chosen)).cast(pa.binary()).to_pylist() for name in ("request", "response")
        )
        records: list[dict[str, Any]] = []
        predictions: list[Any] = []
        of_record: list[int] = []
        predicted: list[int] = []  # the record of each prediction
        left_out: list[tuple[int, int]] = []
        for window, code, request, response in zip(
            windows.tolist(), status.tolist(), requests, responses, strict=True
        ):
            found = unpack(request, response, code, self._plan.response_field)
            if not isinstance(found, Exchanged):
                left_out.append((window, found))
                continue
            if found.reason is not None:
                left_out.append((window, found.reason))
            if found.predictions:
                predicted.extend(range(len(records), len(records) + len(found.records)))
                predictions.extend(found.predictions)
            records.extend(found.records)
            of_record.extend([window] * len(found.records))
        if left_out:
            where, why = np.asarray(left_out, dtype=np.int64).T
            self._bin(ALL, LEFT_OUT, where, why, len(REASONS))
        self._count(records, predictions, np.asarray(of_record, np.int64), np.asarray(predicted, np.int64))

    def _count(
        self, records: list[dict[str, Any]], predictions: list[Any], windows: BinIndices, predicted: BinIndices
    ) -> None:
        plan = self._plan
        divisions: dict[str, tuple[BinIndices, int]] = {}
        for name, slice_ in plan.slices.items():
            indices, _ = slice_.bins.index(_values(records, slice_.column))
            divisions[name] = (indices, slice_.bins.size)
        self._bin(ALL, RECORDS, windows, np.zeros_like(windows), 1)
        for name, bins in plan.inputs.items():
            indices, outside = bins.index(_values(records, name))
            self._tally(name, bins, (windows, indices, outside), divisions)
        if plan.prediction is not None and len(predicted):
            indices, outside = plan.prediction.index(predictions)
            parts = {name: (every[predicted], size) for name, (every, size) in divisions.items()}
            self._tally(PREDICTION, plan.prediction, (windows[predicted], indices, outside), parts)

    def _tally(
        self,
        name: str,
        bins: ColumnBins,
        found: tuple[BinIndices, BinIndices, npt.NDArray[np.bool_]],
        divisions: Mapping[str, tuple[BinIndices, int]],
    ) -> None:
        """Count bins, missing, unknown and outside values of a column, for all records and within each slice."""
        windows, indices, outside = found
        size = bins.size + TAIL
        # MISSING and UNKNOWN follow the bins; a value outside is in its bin as well.
        placed = np.where(indices >= 0, indices, bins.size - 1 - indices)
        sent = indices != ABSENT
        for slice_, (categories, many) in {ALL: (np.zeros_like(windows), 1), **divisions}.items():
            known = sent & (categories >= 0)
            groups = windows * many + categories
            for rows, at in ((known, placed), (known & outside, np.full_like(placed, size - 1))):
                self._bin(slice_, name, groups[rows], at[rows], size, groups_per_window=many)

    def _bin(  # noqa: PLR0913, PLR0917  (a histogram with its place)
        self,
        slice_: str,
        name: str,
        groups: BinIndices,
        bins: npt.NDArray[Any],
        size: int,
        weights: Floats | None = None,
        *,
        groups_per_window: int = 1,
    ) -> None:
        every = self._plan.windows * groups_per_window
        counts = np.bincount(groups * size + bins, weights, minlength=every * size).astype(np.float64)
        known = self._counts.get((slice_, name))
        shaped = counts.reshape(every, size)
        self._counts[slice_, name] = shaped if known is None else known + shaped

    def _add_scalar(self, name: str, value: float) -> None:
        if value:
            first = np.zeros(1, dtype=np.int64)
            self._bin(ALL, name, first, first, 1, np.asarray([value]))

    def result(self) -> pa.RecordBatch:
        """The counts that are not zero, with the columns of `SCHEMA`."""
        rows: list[tuple[int, str, str, int, float]] = []
        for (slice_, name), counts in self._counts.items():
            many = len(counts) // self._plan.windows
            labels = self._plan.slices[slice_].bins.labels() if slice_ else [""]
            for group, at in zip(*(each.tolist() for each in np.nonzero(counts)), strict=True):
                window, category = divmod(group, many)
                named = f"{slice_}={labels[category]}" if slice_ else ALL
                rows.append((window, named, name, at, float(counts[group, at])))
        return batch_of(rows, _ARROW)


def batch_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows with the columns of a schema as a batch; there may be none."""
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [[] for _ in schema]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _values(records: list[dict[str, Any]], column: str) -> list[Any]:
    return [record.get(column, NOT_SENT) for record in records]


def _floats(column: Any) -> Floats:
    return np.nan_to_num(np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64))
