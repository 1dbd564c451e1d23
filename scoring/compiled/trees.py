"""Tree ensembles as an ONNX graph that decides and sums as the fitted model does, run on one thread.

The graph has the leaves of the fitted trees, summed in their order and precision, and a threshold at which each
split decides as the library does (`training.registry.tree_graph`). So the sums are equal bit by bit, and the link
computes the prediction from them (`scoring.compiled.links`).
"""

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
from scoring.compiled.links import LINKS

FILE, METADATA_KEY = "trees.onnx", "trees"
ROWS, SUMS, LEAVES = "rows", "sums", "leaves"  # input and outputs of the graph


@dataclass(frozen=True)
class TreesMetadata:
    """Metadata of a graph.

    Attributes:
        link: name in `LINKS`.
        divisor: divides the sums; 1 for boosting, the number of trees of a forest.
        bias: added to the sums of each output at the end.
        means: target encoding of features with many categories: index of the feature, and the values of each
            category. They are the first columns of the graph; the other features follow in their order.
    """

    link: str
    divisor: float = 1.0
    bias: Sequence[float] = ()
    means: Sequence[tuple[int, Sequence[Sequence[float]]]] = ()


@dataclass(frozen=True)
class CompiledTrees:
    """A graph of dense rows with a `TreesMetadata`.

    It outputs sums of leaves. If a leaf has several numbers, it outputs the leaf that each tree reaches instead, and
    the table of the leaves, whose rows are summed in the order of the trees.
    """

    graph: bytes
    _session: Any = field(init=False, compare=False, repr=False)
    metadata: TreesMetadata = field(init=False, compare=False, repr=False)
    _type: Any = field(init=False, compare=False, repr=False)
    _means: list[tuple[int, Floats]] = field(init=False, compare=False, repr=False)
    _leaves: Floats | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # One row is predicted before a second thread would start, and several threads would sum in another order.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        metadata = TreesMetadata(**json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY]))
        rows = session.get_inputs()[0]
        kind = np.float32 if rows.type == "tensor(float)" else np.float64
        leaves = None
        if any(output.name == LEAVES for output in session.get_outputs()):
            (leaves,) = session.run([LEAVES], {ROWS: np.zeros((1, rows.shape[1]), dtype=kind)})
        means = [(feature, np.asarray(table, dtype=np.float64)) for feature, table in metadata.means]
        self.__dict__.update(_session=session, metadata=metadata, _type=kind, _means=means, _leaves=leaves)  # frozen

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

    def predict_many(self, rows: Floats) -> Floats:
        return LINKS[self.metadata.link](self.sums(rows))

    def sums(self, rows: Floats) -> Floats:
        """(rows, outputs) sums of the leaves before the link, for (rows, features)."""
        prepared = np.ascontiguousarray(self._prepared(rows), dtype=self._type)
        (sums,) = self._session.run([SUMS], {ROWS: prepared})
        if self._leaves is not None:
            # (trees, rows, outputs), summed over the first axis: in the order of the trees for any number of rows.
            reached = self._leaves[np.ascontiguousarray(sums.T, dtype=np.intp)]
            sums = reached.reshape(len(reached), -1).sum(axis=0).reshape(reached.shape[1:])
        if self.metadata.divisor != 1:
            sums = sums / self.metadata.divisor
        return np.asarray(sums + np.asarray(self.metadata.bias) if self.metadata.bias else sums)

    def _prepared(self, rows: Floats) -> Floats:
        if not self._means:
            return rows
        encoded = [table[_known(rows[:, feature], len(table))] for feature, table in self._means]
        return np.hstack([*encoded, np.delete(rows, [feature for feature, _ in self._means], axis=1)])

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_bytes(self.graph)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[FILE]).read_bytes())


def _known(indices: Floats, size: int) -> npt.NDArray[np.intp]:
    """Replace categories newer than the vocabulary by 0, which means unknown."""
    return np.where(indices < size, indices, 0).astype(np.intp)
