"""Tree ensembles as an ONNX graph that decides and sums as the fitted model does, run on one thread.

The graph has the leaves of the fitted trees, summed in their order and precision, and a threshold at which each
split decides as the library does (`training.registry.tree_graph`). So the sums are equal bit by bit, and the link
computes the prediction from them (`scoring.compiled.links`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled.graph import CategoryMeans, CompiledGraph, tables_of
from scoring.compiled.links import LINKS
from scoring.onnx_graphs.session import open_session

METADATA_KEY = "trees"
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
    means: CategoryMeans = ()


@dataclass(frozen=True)
class CompiledTrees(CompiledGraph):
    """A graph of dense rows with a `TreesMetadata`.

    It outputs sums of leaves. If a leaf has several numbers, it outputs the leaf that each tree reaches instead, and
    the table of the leaves, whose rows are summed in the order of the trees.
    """

    FILE: ClassVar[str] = "trees.onnx"

    metadata: TreesMetadata = field(init=False, compare=False, repr=False)
    _type: Any = field(init=False, compare=False, repr=False)
    _leaves: Floats | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        session = open_session(self.graph)
        metadata = TreesMetadata(**json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY]))
        rows = session.get_inputs()[0]
        kind = np.float32 if rows.type == "tensor(float)" else np.float64
        leaves = None
        if any(output.name == LEAVES for output in session.get_outputs()):
            (leaves,) = session.run([LEAVES], {ROWS: np.zeros((1, rows.shape[1]), dtype=kind)})
        means = tables_of(metadata.means)
        self.__dict__.update(_session=session, metadata=metadata, _type=kind, _means=means, _leaves=leaves)  # frozen

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
