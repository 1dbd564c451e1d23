"""Nearest neighbours among dense rows, found for one row after the other.

Rows that lie near each other stand together in blocks. How far a request is at least from the rows of a block, the
least and the largest value of each column tell; all rows are measured of the blocks alone that may hold one of the
nearest. Of 38,000 rows that are some 1,600.
"""

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
from scoring.estimators.neighbour_weights import by_distance

FILE = "neighbours.npz"
LARGEST = float(np.finfo(np.float32).max)
BLOCK = 256  # rows at most: fewer are more blocks to look at, more are more rows to measure
SLACK = 1e-4  # of a squared distance, for the rounding of single precision

NeighbourIndices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class CompiledNeighbours:
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
    _blocks: "Blocks" = field(init=False, compare=False, repr=False)
    _alone: threading.Lock = field(init=False, compare=False, repr=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.__dict__.update(_blocks=Blocks(self.columns.T))  # frozen from here on

    def __reduce__(self) -> tuple[Any, ...]:
        """A lock is of one process."""
        return type(self), (self.columns, self.labels, self.factors, self.places, self.options)

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
        near, squares = self._blocks.nearest(self._scaled(row), wanted)
        weights = by_distance(np.sqrt(squares)) if weighted else np.ones(wanted)
        labels = self.labels[near]
        if classes > 2:
            shares: list[float] = (np.bincount(labels.astype(np.intp), weights, classes) / weights.sum()).tolist()
            return shares
        return float((weights * labels).sum() / weights.sum())

    def many(self, rows: Floats) -> Floats:
        # Threads that take turns at each of a row's many short steps are slower than one after the other.
        with self._alone:
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

    def save(self, folder: Path) -> dict[str, str]:
        parts = (self.columns, self.labels, self.factors, self.places, self.options)
        np.savez_compressed(folder / FILE, *parts)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        with np.load(artifacts[FILE], allow_pickle=False) as parts:
            return cls(*(parts[f"arr_{number}"] for number in range(5)))


class Blocks:
    """Rows in blocks of some that lie near each other."""

    def __init__(self, rows: npt.NDArray[np.float32]) -> None:
        """`rows` is (rows, columns)."""
        rows = np.ascontiguousarray(rows)
        blocks = _split(rows)
        self._places = np.concatenate(blocks)
        self._rows = rows[self._places]
        self._sizes = np.asarray([len(block) for block in blocks])
        self._ends = self._sizes.cumsum()
        begins = self._ends - self._sizes
        self._least = np.ascontiguousarray(np.minimum.reduceat(self._rows, begins).T)
        self._largest = np.ascontiguousarray(np.maximum.reduceat(self._rows, begins).T)

    def nearest(self, asked: Floats, wanted: int) -> tuple[NeighbourIndices, Floats]:
        """The places of the rows nearest to one (columns,), of two at one distance the first; and squared distances.

        Both are (wanted,), the nearest one first.
        """
        rounded = asked.astype(np.float32)
        at_least = self._at_least(rounded)
        order = at_least.argsort()
        first = int(self._sizes[order].cumsum().searchsorted(wanted)) + 1
        rows, squares = self._measured(rounded, order[:first])
        limit = _reach(squares, wanted)
        if (reached := int(at_least[order].searchsorted(limit, side="right"))) > first:
            more = self._measured(rounded, order[first:reached])
            rows, squares = np.concatenate([rows, more[0]]), np.concatenate([squares, more[1]])
            limit = _reach(squares, wanted)
        near = rows[squares <= limit]  # few: to measure and sort them all exactly took half of an answer
        apart = self._rows[near] - asked
        exact, places = np.einsum("rc,rc->r", apart, apart), self._places[near]
        best = np.lexsort((places, exact))[:wanted]
        return places[best], exact[best]

    def _at_least(self, asked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(blocks,) the squared distance that no row of a block falls short of, up to rounding."""
        with np.errstate(over="ignore"):
            apart = np.maximum(asked[:, None], self._least)
            np.minimum(apart, self._largest, out=apart)
            apart -= asked[:, None]
            return np.asarray(np.einsum("cb,cb->b", apart, apart))

    def _measured(
        self, asked: npt.NDArray[np.float32], blocks: NeighbourIndices
    ) -> tuple[NeighbourIndices, npt.NDArray[np.float32]]:
        """Where the rows of some blocks stand, and their squared distances, up to rounding."""
        sizes, ends = self._sizes[blocks], self._ends[blocks]
        which = np.arange(sizes.sum()) + np.repeat(ends - sizes.cumsum(), sizes)
        with np.errstate(over="ignore"):
            apart = self._rows.take(which, axis=0)
            apart -= asked
            return which, np.asarray(np.einsum("rc,rc->r", apart, apart))


def _reach(squares: npt.NDArray[np.float32], wanted: int) -> np.float32:
    """What the squared distance of no wanted row is beyond; infinite where single precision may not hold it."""
    limit = float(np.partition(squares, wanted - 1)[wanted - 1]) * (1 + SLACK)
    return np.float32(limit if limit < LARGEST / 2 else np.inf)


def _split(rows: npt.NDArray[np.float32]) -> list[NeighbourIndices]:
    """The places of rows, halved at the mean of the column in which they differ most until they are a block."""
    blocks, halves = list[NeighbourIndices](), [np.arange(len(rows))]
    while halves:
        places = halves.pop()
        if len(places) <= BLOCK:
            blocks.append(places)
            continue
        values = rows[places].astype(np.float64)
        column = values[:, values.var(axis=0).argmax()]
        low = column <= column.mean()
        if low.all():  # they are all the same
            blocks += np.array_split(places, -(-len(places) // BLOCK))
        else:
            halves += [places[~low], places[low]]
    return blocks
