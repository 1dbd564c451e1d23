"""Learners of PyTorch."""

from abc import abstractmethod
from functools import partial
from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import WeightedRows
from training.networks.checkpoint import Checkpoint
from training.networks.graph import GraphBuilder
from training.networks.inputs import NetworkInputs
from training.networks.learner import Fitted, NetworkLearner
from training.networks.targets import LearnedLabels


class TorchLearner(NetworkLearner):
    """A network that PyTorch fits."""

    @abstractmethod
    def network(self, inputs: NetworkInputs, targets: LearnedLabels) -> Any:
        """An untrained network."""

    def _inputs(self, rows: Floats, sizes: dict[int, int]) -> Any:
        """Learn the preparation of rows."""
        return NetworkInputs.of(rows, sizes)

    def _fitted(self, rows: WeightedRows, classes: int, checkpoint: Checkpoint, *, validates: bool) -> Fitted:
        from training.networks.pytorch.fit import TorchFit

        targets, sizes = partial(self._targets, classes), dict(self.sizes)
        fit = TorchFit(
            self.network, targets, self.task, sizes, self.options, checkpoint, validates, self._inputs, self.watch
        )
        return TorchFitted(*fit.run(rows))


class MlpLearner(TorchLearner):
    """A multilayer perceptron after RealMLP's recipe."""

    def network(self, inputs: NetworkInputs, targets: LearnedLabels) -> Any:
        from training.networks.pytorch.mlp import Mlp

        return Mlp(inputs, targets.outputs, is_classifier=targets.classes > 0, **self.shape)


class FtTransformerLearner(TorchLearner):
    """A transformer over the inputs of a row."""

    def network(self, inputs: NetworkInputs, targets: LearnedLabels) -> Any:
        from training.networks.pytorch.ft_transformer import FtTransformer

        return FtTransformer(inputs, targets.outputs, **self.shape)


class TorchFitted(Fitted):
    """A trained module of PyTorch."""

    def written(self, graph: GraphBuilder) -> str:
        return str(self.network.written(graph))

    def outputs(self, rows: Floats) -> Floats:
        import torch

        numbers, categories = self.inputs.prepared(rows)
        with torch.no_grad():
            output = self.network(torch.from_numpy(numbers), torch.from_numpy(categories))
        return np.asarray(output.numpy(), dtype=np.float64)
