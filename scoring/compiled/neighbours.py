"""k nearest neighbours by exhaustive search, one row at a time, in numpy alone."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.compiled import Row
from scoring.encoder import Encoder
from scoring.estimators.neighbour_weights import inverse_distance

FILE = "neighbours.npz"
LARGEST = float(np.finfo(np.float32).max)
ROUNDING = 4 * float(np.finfo(np.float32).eps)  # error of a squared distance, per column and squared length

NeighbourIndices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class CompiledNeighbours:
    """Scaled training rows, and the scaling that a request needs before it is compared with them.

    Attributes:
        rows: (rows, columns) single precision, scaled.
        labels: (rows,) class index, or the number of a regression.
        factors: (columns,) factors of the scaling.
        layout: (features, 2) first column of each feature, and its number of categories; 0 for a number.
        options: number of neighbours, number of classes (0 for a regression), and four flags: arcsinh of numbers,
            rows of length one, neighbours weighted by distance, and length summed from the first column to the last
            as in the fitted pipeline, which versions of before lack.
    """

    rows: npt.NDArray[np.float32]
    labels: Floats
    factors: Floats
    layout: npt.NDArray[np.int64]
    options: npt.NDArray[np.int64]
    _index: "NearestRows" = field(init=False, compare=False, repr=False)
    _lock: threading.Lock = field(init=False, compare=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.__dict__.update(_index=NearestRows(self.rows))  # frozen from here on

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the lock, which belongs to one process."""
        return type(self), (self.rows, self.labels, self.factors, self.layout, self.options)

    @property
    def kind(self) -> str:
        return "neighbours"

    @property
    def packages(self) -> frozenset[str]:
        return frozenset()

    @property
    def inline_rows(self) -> int:
        return 1

    @classmethod
    def of(cls, pipeline: Any, encoder: Encoder) -> Self:
        """Compile a fitted pipeline of scaling, unit length and k-NN.

        Raises:
            ValueError: the pipeline has other steps, or its rows are sparse.
        """
        steps = dict(pipeline.steps)
        if unknown := sorted(steps.keys() - {"shape", "scale", "normalizer", "denseifsmall", "model"}):
            raise ValueError(f"unsupported steps: {', '.join(unknown)}")
        if not steps["denseifsmall"].dense_:
            raise ValueError("too many rows for a dense matrix")
        model, sizes, column = steps["model"], encoder.categories(), 0
        layout = np.zeros((len(encoder.features), 2), dtype=np.int64)
        for feature in range(len(layout)):
            layout[feature] = column, sizes.get(feature, 0)
            column += sizes.get(feature, 1)
        classes = len(model.classes_) if hasattr(model, "classes_") else 0
        if model.weights not in ("uniform", inverse_distance):
            raise ValueError(f"unsupported neighbour weights: {model.weights}")
        flags = steps["shape"] != "passthrough", "normalizer" in steps, model.weights is inverse_distance, True
        options = np.asarray([model.n_neighbors, classes, *flags], dtype=np.int64)
        labels = np.asarray(model._y, dtype=np.float64).reshape(-1)
        rows = np.ascontiguousarray(model._fit_X, dtype=np.float32)
        return cls(rows, labels, 1 / steps["scale"].scale_, layout, options)

    def predict_one(self, row: Row) -> float | list[float]:
        return self.predict_scaled(self._scaled(row))

    def predict_scaled(self, row: Floats) -> float | list[float]:
        """Predict a row of (columns,) that is encoded, scaled and rounded to single precision."""
        neighbours, classes, _, _, weighted, *_ = self.options.tolist()
        nearest, squares = self._index.nearest(row, neighbours)
        weights = inverse_distance(np.sqrt(squares)) if weighted else np.ones(neighbours)
        labels = self.labels[nearest]
        if classes > 2:
            # Each sum has an order of its own: the share of neighbours of one class may exceed 1 in its last digit.
            counted = np.bincount(labels.astype(np.intp), weights, classes) / weights.sum()
            shares: list[float] = np.minimum(counted, 1.0).tolist()
            return shares
        return float((weights * labels).sum() / weights.sum())

    def predict_many(self, rows: Floats) -> Floats:
        # Without the lock, 8 threads took 20 times as long a row: they take turns at each of its many short steps.
        with self._lock:
            return np.asarray([self.predict_one(row) for row in rows.tolist()])

    def _scaled(self, row: Row) -> Floats:
        """Encode and scale a row of features as the training rows were, rounded to single precision."""
        _, _, arcsinh, unit_length, _, *in_order = self.options.tolist()
        scaled = np.zeros(len(self.factors))
        for value, (column, size) in zip(row, self.layout.tolist(), strict=True):
            if size:
                scaled[column + (int(value) if value < size else 0)] = 1.0
            else:
                scaled[column] = value
        scaled = (np.arcsinh(scaled) if arcsinh else scaled) * self.factors
        if unit_length:
            squares = scaled * scaled
            if (length := np.sqrt(np.add.accumulate(squares)[-1] if in_order else squares.sum())) > 0:
                scaled /= length
        return scaled.clip(-LARGEST, LARGEST).astype(np.float32).astype(np.float64)

    def save(self, folder: Path) -> dict[str, str]:
        rows = np.asfortranarray(self.rows)  # a fifth smaller: values of a column are alike
        np.savez_compressed(folder / FILE, rows, self.labels, self.factors, self.layout, self.options)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        with np.load(artifacts[FILE], allow_pickle=False) as arrays:
            return cls(*(arrays[f"arr_{number}"] for number in range(5)))


class NearestRows:
    """Nearest rows by squared distance: all in single precision, then the nearest few exactly.

    Rows are centred first: large means would cost the digits that distances differ in.
    """

    def __init__(self, rows: npt.NDArray[np.float32]) -> None:
        """`rows` is (rows, columns)."""
        self._rows = np.ascontiguousarray(rows)
        self._centre = np.median(rows, axis=0).astype(np.float64)
        self._columns = np.ascontiguousarray((rows - self._centre).T, dtype=np.float32)
        self._squares = np.einsum("cr,cr->r", self._columns, self._columns)

    def nearest(self, row: Floats, count: int) -> tuple[NeighbourIndices, Floats]:
        """Indices and squared distances of the rows nearest to a row of (columns,); equal distances in row order.

        Both are (count,), nearest first.
        """
        candidates = self._candidates(row, count)
        differences = self._rows[candidates] - row
        squares = np.einsum("rc,rc->r", differences, differences)
        order = np.lexsort((candidates, squares))[:count]
        return candidates[order], squares[order]

    def _candidates(self, row: Floats, count: int) -> NeighbourIndices:
        """Rows that may be among the nearest, given the rounding of single precision."""
        with np.errstate(over="ignore", invalid="ignore"):
            centred = (row - self._centre).astype(np.float32)
            # Not `@`: on a busy machine the threads of BLAS wait for each other, up to 24 ms in one row of ten.
            products = np.einsum("c,cr->r", centred, self._columns)
            squares = self._squares - 2 * products  # less the squared length of the row, equal for all
            error = ROUNDING * (len(row) + 4) * (self._squares + float(centred @ centred))
            limit = np.partition(squares + error, count - 1)[count - 1]
            return np.flatnonzero(~(squares - error > limit))  # not a number after an overflow: measured exactly
