"""Options of a fit that all networks share, and the errors of a fit."""

from dataclasses import dataclass
from math import ceil

from training.networks.schedule import LAST_CYCLE

LEAST_PATIENCE = 8  # epochs


class Diverged(ValueError):
    """The loss of a fit is no number: its trial stops, and is recorded as failed."""

    @classmethod
    def after(cls, epoch: int, learning_rate: float) -> "Diverged":
        return cls(f"the loss is not a number in epoch {epoch}, with a learning rate of {learning_rate:.3g}")


class GraphDiffers(ValueError):
    """The written graph predicts other numbers than the network that it was written from."""


@dataclass(frozen=True)
class FitOptions:
    """Options of a fit that every network has.

    Attributes:
        learning_rate: its highest value; see `training.networks.schedule`.
        weight_decay: for each step, times the learning rate.
        epochs: largest number of passes over the rows.
        batch: rows of a step.
        category_dropout: share of categories that a step replaces by 0, so that the unknown category is learned.
    """

    learning_rate: float
    weight_decay: float
    epochs: int
    batch: int = 256
    category_dropout: float = 0.03
    seed: int = 0

    @property
    def patience(self) -> int:
        """Epochs without a gain on the validation rows before fitting stops.

        A loss rises while the learning rate does, and its gain comes when the rate falls. So fitting waits for as
        long as the last cycle of the schedule takes, which is the longest.
        """
        return max(LEAST_PATIENCE, ceil(self.epochs * LAST_CYCLE))
