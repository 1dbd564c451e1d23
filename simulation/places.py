"""Kommunen of the customers, drawn in proportion to their population."""

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
        codes: key of each Kommune in the landing file.
        states: index of each Kommune's state in STATES.
        share: cumulative share of the population, ascending to 1.
    """

    codes: npt.NDArray[np.str_]
    states: Integers
    share: Floats

    def __len__(self) -> int:
        return len(self.codes)

    def draw(self, random: np.random.Generator, size: int) -> Integers:
        """Draw the Kommunen of `size` people, as indices."""
        return np.searchsorted(self.share, random.random(size), side="right").clip(max=len(self) - 1)

    @classmethod
    def read(cls, path: Path) -> "Places":
        """Read `kommunen.csv`; a Kommune without a known population counts as one of 100."""
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        population = np.asarray([int(row["population"]) or 100 for row in rows], dtype=np.float64)
        number = {state: index for index, state in enumerate(STATES)}
        return cls(
            np.asarray([row["kommune"] for row in rows]),
            np.asarray([number[row["state"]] for row in rows]),
            np.cumsum(population) / population.sum(),
        )
