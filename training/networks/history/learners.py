"""Learners of networks over the history of a series, in PyTorch."""

from typing import Any

from lakehouse.arrays import Floats
from training.networks.history.inputs import HistoryInputs
from training.networks.targets import LearnedLabels
from training.networks.torch_learners import TorchLearner

PLACES = "history", "step"  # options of the shape that say where a row has its history and its step


class HistoryLearner(TorchLearner):
    """A network that forecasts every step of the horizon, and answers a row with that of its step."""

    def _inputs(self, rows: Floats, sizes: dict[int, int]) -> HistoryInputs:
        return HistoryInputs.of(rows, sizes, self.shape["history"], self.shape["step"])

    @property
    def _options(self) -> dict[str, Any]:
        return {name: value for name, value in self.shape.items() if name not in PLACES}


class NhitsLearner(HistoryLearner):
    """Blocks that each look at the history at a rate of their own."""

    def network(self, inputs: Any, _targets: LearnedLabels) -> Any:
        from training.networks.history.pytorch.nhits import Nhits

        return Nhits(inputs, **self._options)


class PatchTransformerLearner(HistoryLearner):
    """A transformer over patches of the history."""

    def network(self, inputs: Any, _targets: LearnedLabels) -> Any:
        from training.networks.history.pytorch.patch_transformer import PatchTransformer

        return PatchTransformer(inputs, **self._options)
