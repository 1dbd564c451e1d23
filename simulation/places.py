"""The Kommunen that customers live in, each in proportion to its population."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats, Integers
from simulation.effects import STATES


@dataclass(frozen=True)
class Places:
    """Every Kommune of the landing file, in its order.

    Attributes:
        codes: the landing file's own key of each.
        states: the place in STATES of each.
        share: cumulated share of the population, ascending to 1.
    """

    codes: npt.NDArray[np.str_]
    states: Integers
    share: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def draw(self, random: np.random.Generator, size: int) -> Integers:
        """Where `size` people live."""
        return np.searchsorted(self.share, random.random(size), side="right").clip(max=len(self) - 1)

    @classmethod
    def read(cls, path: Path) -> "Places":
        """Read `kommunen.csv`; a Kommune without a known population counts as one of 100."""
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        population = np.asarray([int(row["population"]) or 100 for row in rows], dtype=np.float64)
        number = {state: place for place, state in enumerate(STATES)}
        return cls(
            np.asarray([row["kommune"] for row in rows]),
            np.asarray([number[row["state"]] for row in rows]),
            np.cumsum(population) / population.sum(),
        )
