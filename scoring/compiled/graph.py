"""Shared parts of the graphs of trees: target encoding, and the file."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.compiled import Row

CategoryMeans = Sequence[tuple[int, Sequence[Sequence[float]]]]  # index of a feature, and the values of each category


@dataclass(frozen=True)
class CompiledGraph(ABC):
    """A graph of dense rows, with the features that are target-encoded before it.

    The encoded values are the first columns of the graph; the other features follow in their order.
    """

    FILE: ClassVar[str]

    graph: bytes
    _session: Any = field(init=False, compare=False, repr=False)
    _means: list[tuple[int, Floats]] = field(init=False, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the session, which belongs to one process."""
        return type(self), (self.graph,)

    @property
    def kind(self) -> str:
        return "onnx"

    @property
    def inline_rows(self) -> int:
        return 128

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({"onnxruntime"})

    def predict_one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.predict_many(np.asarray([row]))[0].tolist()
        return predicted

    @abstractmethod
    def predict_many(self, rows: Floats) -> Floats:
        """Predict (rows, features): (rows,) or (rows, classes)."""

    def save(self, folder: Path) -> dict[str, str]:
        (folder / self.FILE).write_bytes(self.graph)
        return {self.FILE: str(folder / self.FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[cls.FILE]).read_bytes())

    def _prepared(self, rows: Floats) -> Floats:
        if not self._means:
            return rows
        encoded = [table[_known(rows[:, feature], len(table))] for feature, table in self._means]
        return np.hstack([*encoded, np.delete(rows, [feature for feature, _ in self._means], axis=1)])


def tables_of(means: CategoryMeans) -> list[tuple[int, Floats]]:
    """The values of each category as an array, by feature."""
    return [(feature, np.asarray(table, dtype=np.float64)) for feature, table in means]


def _known(indices: Floats, size: int) -> npt.NDArray[np.intp]:
    """Replace categories newer than the vocabulary by 0, which means unknown."""
    return np.where(indices < size, indices, 0).astype(np.intp)
