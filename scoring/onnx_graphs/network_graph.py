"""The ONNX graph of a neural network, run on one thread: its one form in trials and in versions."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.onnx_graphs.session import open_session

METADATA_KEY = "network"
ROWS, SUMS = "rows", "sums"  # input and output of the graph


@dataclass(frozen=True)
class NetworkGraph:
    """A graph from (rows, features) doubles to (rows, outputs) doubles, before the link.

    Attributes:
        graph: the serialised graph, with the name of the link in its metadata.
        link: name in `scoring.compiled.links.LINKS`: `identity`, `logistic` or `numpy_softmax`.
        alone: True if each row is run alone, because its last bits depend on the batch.
    """

    graph: bytes
    link: str = field(init=False, compare=False)
    alone: bool = field(init=False, compare=False)
    _session: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        session = open_session(self.graph)
        metadata = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
        alone = bool(metadata.get("alone"))
        self.__dict__.update(_session=session, link=str(metadata["link"]), alone=alone)  # frozen from here on

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the session, which belongs to one process."""
        return type(self), (self.graph,)

    def sums(self, rows: Floats) -> Floats:
        """(rows, outputs) sums of the last layer; numbers of a task without classes are in its unit."""
        if self.alone and len(rows) > 1:
            return np.concatenate([self.batch_sums(rows[[row]]) for row in range(len(rows))])
        return self.batch_sums(rows)

    def batch_sums(self, rows: Floats) -> Floats:
        """(rows, outputs) the same, of one run for all rows."""
        (sums,) = self._session.run([SUMS], {ROWS: np.ascontiguousarray(rows, dtype=np.float64)})
        return np.asarray(sums, dtype=np.float64)
