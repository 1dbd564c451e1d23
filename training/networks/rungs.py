"""Rungs of successive halving: epochs after which a fit is compared with earlier fits of the same family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.estimators.network import probabilities
from scoring.tasks import TASKS
from training.networks.targets import LearnedLabels

RUNGS = 2, 4, 8, 16, 32, 64  # epochs


class FitStopped(Exception):
    """A watch stops the fit; its message is the reason."""


class RungWatch(Protocol):
    """Follows a fit on its validation rows.

    Attributes:
        losses: loss of the search's metric at each rung that the fit has reached.
    """

    losses: list[float]

    def reach(self, y: npt.NDArray[Any], predicted: Floats) -> None:
        """Take in the predictions of the validation rows at the next rung.

        Raises:
            FitStopped: the fit is not worth continuing.
        """

    def resume(self, losses: Sequence[float]) -> None:
        """Continue after these losses, of a fit that was interrupted."""


@dataclass(frozen=True)
class RungPredictions:
    """A network at a rung, as `Task.predict` asks for it.

    Attributes:
        sums: (rows, outputs) of the last layer for the validation rows.
    """

    task: str
    targets: LearnedLabels
    sums: Floats

    def predictions(self) -> Floats:
        """(rows,) or (rows, classes), as the fitted network predicts."""
        return TASKS[self.task].predict(self, self.sums)

    def predict(self, sums: Floats) -> npt.NDArray[Any]:
        if self.targets.classes:
            return np.asarray(self.predict_proba(sums).argmax(axis=1))
        return sums[:, 0] * self.targets.scale + self.targets.offset

    def predict_proba(self, sums: Floats) -> Floats:
        return probabilities(sums)
