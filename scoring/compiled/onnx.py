"""A model as an ONNX graph of single precision, run on one thread: what trees are fastest as."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime

from lakehouse.arrays import Floats
from scoring.compiled import Row

FILE, ABOUT = "model.onnx", "about"


@dataclass(frozen=True)
class GraphNote:
    """What a graph does not say of itself.

    Attributes:
        column: the one of the output that is the prediction; None for all of them.
        means: of features that are indices of many categories, by place, what stands for each category in the graph's
            first columns; the other features follow in their order.
    """

    column: int | None = None
    means: Sequence[tuple[int, Sequence[Sequence[float]]]] = ()


@dataclass(frozen=True)
class CompiledOnnx:
    """A graph from dense rows to one prediction each, in its last output; `About` it stands in its metadata."""

    graph: bytes
    _session: Any = field(init=False, compare=False, repr=False)
    _names: tuple[str, list[str]] = field(init=False, compare=False, repr=False)
    _column: int | None = field(init=False, compare=False, repr=False)
    _means: list[tuple[int, Floats]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # One row is done before a second thread has heard of it, and other requests want the cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        about = GraphNote(**json.loads(session.get_modelmeta().custom_metadata_map.get(ABOUT, "{}")))
        # Of a classifier the last output is the probabilities, after the labels.
        names = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
        means = [(place, np.asarray(table, dtype=np.float64)) for place, table in about.means]
        self.__dict__.update(
            _session=session, _names=names, _column=about.column, _means=means
        )  # frozen from here on

    @property
    def kind(self) -> str:
        return "onnx"

    @property
    def quick_rows(self) -> int:
        return 128

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({"onnxruntime"})

    def one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.many(np.asarray([row]))[0].tolist()
        return predicted

    def many(self, rows: Floats) -> Floats:
        taken, out = self._names
        (found,) = self._session.run(out, {taken: self._prepared(rows).astype(np.float32)})
        if self._column is not None:
            return np.asarray(found[:, self._column], dtype=np.float64)
        # Of single precision, probabilities sum to 1 up to its last digits only.
        said = found.astype(np.float64)
        return np.asarray(said / said.sum(axis=1, keepdims=True))

    def _prepared(self, rows: Floats) -> Floats:
        if not self._means:
            return rows
        first = [table[_known(rows[:, place], len(table))] for place, table in self._means]
        return np.hstack([*first, np.delete(rows, [place for place, _ in self._means], axis=1)])

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_bytes(self.graph)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[FILE]).read_bytes())


def _known(indices: Floats, size: int) -> npt.NDArray[np.intp]:
    """A category that is newer than the vocabulary is 0, unknown."""
    return np.where(indices < size, indices, 0).astype(np.intp)
