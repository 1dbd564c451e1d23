"""Learners of networks: each fits with its library, and leaves a graph that predicts as the network does."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import WeightedRows
from scoring.estimators.network import Network
from scoring.onnx_graphs.network_graph import NetworkGraph
from scoring.tasks import TASKS
from training.networks.checkpoint import Checkpoint
from training.networks.graph import GraphBuilder
from training.networks.inputs import NetworkInputs
from training.networks.options import FitOptions, GraphDiffers
from training.networks.rungs import RungWatch
from training.networks.targets import LearnedLabels

BATCHES = 1, 7, 100  # rows at once, with which the graph must predict as the network does
LARGEST_DIFFERENCE = 1e-3  # in standard deviations of the sums; both compute in single precision


class NetworkLearner(BaseEstimator):
    """A network for one task, fitted on dense rows.

    Attributes:
        task: name of the task.
        shape: options of the network.
        options: options of the fit.
        sizes: count of categories of each category index, by its column.
        balanced: True for balanced class weights.
        watch: follows the fit on its validation rows, and may stop it; None if nothing does.
        network_: the fitted network, without the library.
    """

    watch: RungWatch | None = None

    def __init__(
        self,
        task: str,
        shape: Mapping[str, Any],
        options: FitOptions,
        sizes: Mapping[int, int],
        *,
        balanced: bool = False,
    ) -> None:
        self.task = task
        self.shape = shape
        self.options = options
        self.sizes = sizes
        self.balanced = balanced

    @abstractmethod
    def _fitted(self, rows: WeightedRows, classes: int, checkpoint: Checkpoint, *, validates: bool) -> "Fitted":
        """Fit on the rows."""

    def fit(
        self,
        x: Floats,
        y: npt.NDArray[Any],
        sample_weight: Floats | None = None,
        validation: npt.NDArray[np.bool_] | None = None,
    ) -> Self:
        """Find the epochs, then fit on all rows.

        Args:
            validation: (rows,) True for the validation rows. None: rows are in order of time, and the last ones
                validate.

        Raises:
            Diverged: the loss is no number.
            GraphDiffers: the graph predicts other numbers than the network.
        """
        rows = WeightedRows(np.asarray(x, dtype=np.float64), y, sample_weight, validation)
        predicts_classes = TASKS[self.task].predicts_classes
        classes = max(2, int(np.max(y)) + 1) if predicts_classes else 0
        remaining, held_out = rows.split()
        lacks_class = predicts_classes and len(np.unique(remaining.y)) < len(np.unique(y))
        validates = min(len(remaining.y), len(held_out.y)) > 0 and not lacks_class
        checkpoint = Checkpoint.of(
            (type(self).__name__, self.task, dict(self.shape), asdict(self.options), dict(self.sizes), self.balanced),
            rows.x,
            y,
            sample_weight,
            validation,
        )
        fitted = self._fitted(rows, classes, checkpoint, validates=validates)
        graph = fitted.graph(rows.x.shape[1])
        require_equal(graph, fitted, rows.x)
        self.network_ = Network(self.task, graph, classes, fitted.epochs)
        return self

    def predict(self, x: Floats) -> npt.NDArray[Any]:
        return self.network_.predict(x)

    def predict_proba(self, x: Floats) -> Floats:
        return self.network_.predict_proba(x)

    def _targets(self, classes: int, y: npt.NDArray[Any], weights: Floats | None) -> LearnedLabels:
        return LearnedLabels.of(self.task, y, weights, classes, balanced=self.balanced)


class Fitted:
    """A network of a library after its fit."""

    def __init__(self, network: Any, inputs: NetworkInputs, targets: LearnedLabels, epochs: int) -> None:
        self.network, self.inputs, self.targets, self.epochs = network, inputs, targets, epochs

    @abstractmethod
    def written(self, graph: GraphBuilder) -> str:
        """Write the network into a graph; return the name of its output."""

    @abstractmethod
    def outputs(self, rows: Floats) -> Floats:
        """(rows, outputs) of the library itself for (rows, features)."""

    def graph(self, columns: int) -> bytes:
        """The network as a graph of rows with so many columns."""
        graph, targets = GraphBuilder(columns), self.targets
        output = self.written(graph)
        units = {"scale": targets.scale, "offset": targets.offset}
        return graph.serialised(output, targets.outputs, targets.link, **units, alone=self.inputs.alone)


def require_equal(graph: bytes, fitted: Fitted, rows: Floats) -> None:
    """Compare graph and network, with another batch than any that a step had.

    Raises:
        GraphDiffers: they predict other numbers.
    """
    network, targets = NetworkGraph(graph), fitted.targets
    chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), max(BATCHES)), dtype=np.intp)]
    expected = fitted.outputs(chosen) * targets.scale + targets.offset
    unit = max(float(np.std(expected)), 1e-3 * float(np.abs(expected).max(initial=0.0)), 1e-6)
    for batch in BATCHES:
        found = network.batch_sums(chosen[:batch])
        apart = float(np.abs(found - expected[:batch]).max(initial=0.0)) / unit
        if not apart <= LARGEST_DIFFERENCE:
            raise GraphDiffers(
                f"the graph of {batch} rows at once differs from the network by {apart:.3g} standard deviations; "
                f"at most {LARGEST_DIFFERENCE:g} is accepted"
            )
