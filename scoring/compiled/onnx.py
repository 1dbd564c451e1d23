"""An ONNX graph in single precision, run on one thread: the fastest form of trees."""

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

FILE, METADATA_KEY = "model.onnx", "note"


@dataclass(frozen=True)
class GraphMetadata:
    """Metadata that a graph needs for predictions.

    Attributes:
        column: output column that is the prediction; None for all of them.
        means: target encoding of features with many categories: index of the feature, and the values of each
            category. They are the first columns of the graph; the other features follow in their order.
    """

    column: int | None = None
    means: Sequence[tuple[int, Sequence[Sequence[float]]]] = ()


@dataclass(frozen=True)
class CompiledOnnx:
    """A graph that predicts dense rows in its last output, with a `GraphMetadata` in its metadata."""

    graph: bytes
    _session: Any = field(init=False, compare=False, repr=False)
    _names: tuple[str, list[str]] = field(init=False, compare=False, repr=False)
    _column: int | None = field(init=False, compare=False, repr=False)
    _means: list[tuple[int, Floats]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        # One row is predicted before a second thread would start, and other requests need the cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        metadata = GraphMetadata(**json.loads(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")))
        # The last output of a classifier is the probabilities, after the labels.
        names = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
        means = [(feature, np.asarray(table, dtype=np.float64)) for feature, table in metadata.means]
        self.__dict__.update(
            _session=session, _names=names, _column=metadata.column, _means=means
        )  # frozen from here on

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
        input_name, output_names = self._names
        (output,) = self._session.run(output_names, {input_name: self._prepared(rows).astype(np.float32)})
        if self._column is not None:
            return np.asarray(output[:, self._column], dtype=np.float64)
        # In single precision, probabilities sum to 1 only up to the last digits.
        probabilities = output.astype(np.float64)
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))

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
