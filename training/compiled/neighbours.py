"""Nearest neighbours among dense rows, found for one row after the other.

The columns of the training rows are summed with those of the request that are not zero, on one thread: of 38,000 rows
that takes a fraction of what a search made for many rows takes. The few nearest are measured again in double
precision, as scikit-learn measures all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from training.compiled import Floats, Row
from training.encoder import Encoder
from training.nearness import by_distance

FILE = "neighbours.npz"
SPARE = 64  # rows more than asked for that are measured again
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Neighbours:
    """Rows that were fitted on, and how a request becomes one of their kind.

    Attributes:
        columns: (columns, rows) single precision, scaled.
        labels: (rows,) of a class its place, or the number.
        factors: (columns,) of the scaling.
        places: (features, 2) where the columns of each feature begin, and how many categories it has; 0 of a number.
        options: how many neighbours, how many classes (0 of a regression), and whether numbers are reshaped by
            arcsinh, rows brought to length one, neighbours weighted by distance.
    """

    columns: npt.NDArray[np.float32]
    labels: Floats
    factors: Floats
    places: npt.NDArray[np.int64]
    options: npt.NDArray[np.int64]
    _squares: Floats = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        squares = np.zeros(self.columns.shape[1])
        for column in self.columns:
            squares += np.square(column, dtype=np.float64)
        self.__dict__.update(_squares=squares)  # frozen from here on

    @property
    def kind(self) -> str:
        return "neighbours"

    @property
    def packages(self) -> frozenset[str]:
        return frozenset()

    @property
    def quick_rows(self) -> int:
        return 1

    @classmethod
    def of(cls, pipeline: Any, encoder: Encoder) -> Self:
        """The model of a pipeline of scaling and unit length.

        Raises:
            ValueError: the pipeline does more, or its rows are sparse.
        """
        steps = dict(pipeline.steps)
        if strange := sorted(steps.keys() - {"shape", "scale", "normalizer", "densewheresmall", "model"}):
            raise ValueError(f"steps that are no scaling: {', '.join(strange)}")
        if not steps["densewheresmall"].dense_:
            raise ValueError("the rows are too many to be dense")
        model, sizes, at = steps["model"], encoder.categories(), 0
        places = np.zeros((len(encoder.features), 2), dtype=np.int64)
        for place in range(len(places)):
            places[place] = at, sizes.get(place, 0)
            at += sizes.get(place, 1)
        classes = len(model.classes_) if hasattr(model, "classes_") else 0
        if model.weights not in ("uniform", by_distance):
            raise ValueError(f"neighbours weighted by {model.weights}")
        flags = steps["shape"] != "passthrough", "normalizer" in steps, model.weights is by_distance
        options = np.asarray([model.n_neighbors, classes, *flags], dtype=np.int64)
        labels = np.asarray(model._y, dtype=np.float64).reshape(-1)
        columns = np.ascontiguousarray(np.asarray(model._fit_X, dtype=np.float32).T)
        return cls(columns, labels, 1 / steps["scale"].scale_, places, options)

    def one(self, row: Row) -> float | list[float]:
        wanted, classes, _, _, weighted = self.options.tolist()
        asked = self._scaled(row)
        near = self._nearest(asked, min(wanted + SPARE, len(self.labels)))
        filled = np.flatnonzero(asked)
        products = (self.columns[np.ix_(filled, near)] * asked[filled, None]).sum(axis=0)
        squares = np.maximum(self._squares[near] - 2 * products + (asked * asked).sum(), 0)
        nearest = np.argsort(squares, kind="stable")[:wanted]
        weights = by_distance(np.sqrt(squares[nearest])) if weighted else np.ones(len(nearest))
        labels = self.labels[near[nearest]]
        if classes > 2:
            shares: list[float] = (np.bincount(labels.astype(np.intp), weights, classes) / weights.sum()).tolist()
            return shares
        return float((weights * labels).sum() / weights.sum())

    def many(self, rows: Floats) -> Floats:
        return np.asarray([self.one(row) for row in rows.tolist()])

    def _scaled(self, row: Row) -> Floats:
        """A row of features as one of the matrix, in single precision as the rows are."""
        _, _, arcsinh, unit_length, _ = self.options.tolist()
        asked = np.zeros(len(self.factors))
        for value, (at, size) in zip(row, self.places.tolist(), strict=True):
            if size:
                asked[at + (int(value) if value < size else 0)] = 1.0
            else:
                asked[at] = value
        asked = (np.arcsinh(asked) if arcsinh else asked) * self.factors
        if unit_length and (length := np.sqrt((asked * asked).sum())) > 0:
            asked /= length
        return asked.clip(-LARGEST, LARGEST).astype(np.float32).astype(np.float64)

    def _nearest(self, asked: Floats, wanted: int) -> npt.NDArray[np.intp]:
        """The rows nearest in single precision, in their order: of two at one distance the first one counts."""
        apart = self._squares.astype(np.float32)
        for column in np.flatnonzero(asked):
            apart -= np.float32(2 * asked[column]) * self.columns[column]
        if wanted == len(apart):
            return np.arange(wanted)
        return np.sort(np.argpartition(apart, wanted - 1)[:wanted])

    def save(self, folder: Path) -> dict[str, str]:
        parts = (self.columns, self.labels, self.factors, self.places, self.options)
        np.savez_compressed(folder / FILE, *parts)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        with np.load(artifacts[FILE], allow_pickle=False) as parts:
            return cls(*(parts[f"arr_{number}"] for number in range(5)))
