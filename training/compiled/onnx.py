"""A model as an ONNX graph of single precision, run on one thread: what trees are fastest as."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime

from training.compiled import Floats, Row

FILE, COLUMN = "model.onnx", "column"


@dataclass(frozen=True)
class Onnx:
    """A graph from dense rows to one prediction each, which is its last output or a column of that.

    Which column is said in the graph's own metadata; without a word it is all of them.
    """

    graph: bytes
    session: Any = field(init=False, compare=False, repr=False)
    taken: str = field(init=False, compare=False)
    out: list[str] = field(init=False, compare=False)
    column: int | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # One row is done before a second thread has heard of it, and other requests want the cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        said = session.get_modelmeta().custom_metadata_map.get(COLUMN)
        # Of a classifier the last output is the probabilities, after the labels.
        found = {"session": session, "taken": session.get_inputs()[0].name, "out": [session.get_outputs()[-1].name]}
        self.__dict__.update(found, column=None if said is None else int(said))  # frozen from here on

    @property
    def kind(self) -> str:
        return "onnx"

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({"onnxruntime"})

    def one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.many(np.asarray([row]))[0].tolist()
        return predicted

    def many(self, rows: Floats) -> Floats:
        (found,) = self.session.run(self.out, {self.taken: rows.astype(np.float32)})
        return np.asarray(found if self.column is None else found[:, self.column], dtype=np.float64)

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_bytes(self.graph)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[FILE]).read_bytes())
