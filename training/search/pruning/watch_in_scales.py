"""The watch of a forecast's model, whose labels and predictions are in scales above the level."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.forecasts.scales import bounded_forecasts
from training.networks.rungs import RungWatch


@dataclass
class WatchInScales:
    """Compares a model by the metric of forecasts, as if each series had the level 0 and the scale 1.

    MASE is what it is in the unit of the label. The bounds of a rung are its value, as no bounds are known yet.

    Attributes:
        watch: compares forecasts.
        losses: those of the watch.
    """

    watch: RungWatch
    losses: list[float]

    def reach(self, y: npt.NDArray[Any], predicted: Floats) -> None:
        """Take in the predictions at the next rung.

        Raises:
            FitStopped: the watch stops the fit.
        """
        zeros, bound = np.zeros(len(y)), np.zeros(1)
        forecasts = bounded_forecasts(predicted, zeros, np.ones(len(y)), zeros, (bound, bound))
        self.watch.reach(y, forecasts)

    def resume(self, losses: Sequence[float]) -> None:
        """Continue after these losses, of a fit that was interrupted."""
        self.watch.resume(losses)


_: type[RungWatch] = WatchInScales
