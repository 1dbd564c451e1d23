"""The fit of one of several processes, each with a shard of the rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import WeightedRows
from training.networks.checkpoint import Checkpoint
from training.networks.learner import require_equal
from training.networks.options import Diverged
from training.networks.pytorch.fit import TorchFit
from training.networks.pytorch.processes import Group
from training.networks.targets import LearnedLabels
from training.networks.torch_learners import TorchFitted, TorchLearner


@dataclass(frozen=True)
class ShardFit:
    """A fit that all processes do together.

    Attributes:
        learner: shape and options of the network.
        classes: count of classes; 0 for numbers.
        units: scale and offset of the labels of all rows.
        weight: mean weight of all rows.
        validates: True to find the epochs on validation rows.
    """

    learner: TorchLearner
    classes: int
    units: tuple[float, float]
    weight: float
    validates: bool

    def run(self, rows: WeightedRows) -> tuple[bytes, int] | str:
        """Graph and epochs of the network that all processes have at the end, or the reason why it diverged.

        Every process calls it, in the environment that `torchrun` sets.
        """
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        try:
            return self._run(rows, Group(distributed.get_rank()))
        except Diverged as err:  # in all processes at once, since they compare the same loss
            return str(err)
        finally:
            distributed.destroy_process_group()

    def _run(self, rows: WeightedRows, group: Group) -> tuple[bytes, int]:
        learner = self.learner
        fit = TorchFit(
            learner.network,
            self._targets,
            learner.task,
            dict(learner.sizes),
            learner.options,
            Checkpoint.never(),
            self.validates,
            group.read,
            processes=group,
        )
        fitted = TorchFitted(*fit.run(rows))
        graph = fitted.graph(rows.x.shape[1])
        require_equal(graph, fitted, rows.x)
        return graph, fitted.epochs

    def _targets(self, y: npt.NDArray[Any], weights: Floats | None) -> LearnedLabels:
        scale, offset = self.units
        weighted = np.ones(len(y)) if weights is None else weights
        labels = y.astype(np.int64) if self.classes else (y - offset) / scale
        return LearnedLabels(labels, weighted / self.weight, self.classes, scale, offset)
