"""Options of a fit that all networks share, and the errors of a fit."""

from dataclasses import dataclass


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
        patience: epochs without a gain on the validation rows before fitting stops.
        batch: rows of a step.
        category_dropout: share of categories that a step replaces by 0, so that the unknown category is learned.
    """

    learning_rate: float
    weight_decay: float
    epochs: int
    patience: int = 8
    batch: int = 256
    category_dropout: float = 0.03
    seed: int = 0
