"""A form of another kind, behind the features that it takes and in front of the curve of a calibration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row, load_compiled
from scoring.estimators.calibration_curve import CurveKind, calibrated_by

FILE = "calibrated.json"


@dataclass(frozen=True)
class CompiledCalibrated:
    """What a form in the middle answers to some features of a row, its probability through a curve.

    Attributes:
        inner: the form in the middle.
        places: of the features that it takes; None for all.
        curve: which one; None where its answers stay as they are.
        numbers: of the curve.
    """

    inner: Compiled
    places: list[int] | None = None
    curve: CurveKind | None = None
    numbers: Floats | None = None

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def packages(self) -> frozenset[str]:
        return self.inner.packages

    @property
    def quick_rows(self) -> int:
        return self.inner.quick_rows

    def one(self, row: Row) -> float | list[float]:
        said = self.inner.one(row if self.places is None else [row[place] for place in self.places])
        return float(self._along(np.asarray([said]))[0]) if self.curve else said

    def many(self, rows: Floats) -> Floats:
        said = self.inner.many(rows if self.places is None else rows[:, self.places])
        return self._along(said) if self.curve else said

    def save(self, folder: Path) -> dict[str, str]:
        numbers = None if self.numbers is None else self.numbers.tolist()
        about = {"places": self.places, "curve": self.curve, "numbers": numbers}
        (folder / FILE).write_text(json.dumps(about), encoding="utf-8")
        return {FILE: str(folder / FILE)} | self.inner.save(folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        inner = load_compiled({name: path for name, path in artifacts.items() if name != FILE})
        if inner is None:
            raise ValueError(f"{FILE} comes without the form that it is around")
        about = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        numbers = None if about["numbers"] is None else np.asarray(about["numbers"])
        return cls(inner, about["places"], about["curve"], numbers)

    def _along(self, probabilities: Floats) -> Floats:
        return (
            probabilities
            if self.curve is None
            else calibrated_by(self.curve, np.asarray(self.numbers), probabilities)
        )
