"""An ONNX graph of trees in single precision, as earlier versions have it."""

import json
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled.graph import CategoryMeans, CompiledGraph, tables_of
from scoring.onnx_graphs.session import open_session

METADATA_KEY = "note"


@dataclass(frozen=True)
class GraphMetadata:
    """Metadata that a graph needs for predictions.

    Attributes:
        column: output column that is the prediction; None for all of them.
        means: target encoding of features with many categories: index of the feature, and the values of each
            category. They are the first columns of the graph; the other features follow in their order.
    """

    column: int | None = None
    means: CategoryMeans = ()


@dataclass(frozen=True)
class CompiledOnnx(CompiledGraph):
    """A graph that predicts dense rows in its last output, with a `GraphMetadata` in its metadata."""

    FILE: ClassVar[str] = "model.onnx"

    _names: tuple[str, list[str]] = field(init=False, compare=False, repr=False)
    _column: int | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        session = open_session(self.graph)
        metadata = GraphMetadata(**json.loads(session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "{}")))
        # The last output of a classifier is the probabilities, after the labels.
        names = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
        means = tables_of(metadata.means)
        self.__dict__.update(_session=session, _names=names, _column=metadata.column, _means=means)  # frozen

    def predict_many(self, rows: Floats) -> Floats:
        input_name, output_names = self._names
        (output,) = self._session.run(output_names, {input_name: self._prepared(rows).astype(np.float32)})
        if self._column is not None:
            return np.asarray(output[:, self._column], dtype=np.float64)
        # In single precision, probabilities sum to 1 only up to the last digits.
        probabilities = output.astype(np.float64)
        return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))
