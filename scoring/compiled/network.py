"""A neural network: the graph of the fitted estimator, and the link that it applies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Row
from scoring.compiled.links import LINKS
from scoring.onnx_graphs.network_graph import NetworkGraph

FILE = "network.onnx"


@dataclass(frozen=True)
class CompiledNetwork:
    """A graph of dense rows, run on one thread; a row has one prediction, alone or beside others."""

    graph: bytes
    _network: NetworkGraph = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.__dict__.update(_network=NetworkGraph(self.graph))  # frozen from here on

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the session, which belongs to one process."""
        return type(self), (self.graph,)

    @property
    def kind(self) -> str:
        return "network"

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({"onnxruntime"})

    @property
    def inline_rows(self) -> int:
        return 8

    def predict_one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.predict_many(np.asarray([row]))[0].tolist()
        return predicted

    def predict_many(self, rows: Floats) -> Floats:
        return LINKS[self._network.link](self._network.sums(rows))

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_bytes(self.graph)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[FILE]).read_bytes())
