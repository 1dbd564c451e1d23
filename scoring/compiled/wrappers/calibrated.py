"""Wraps a compiled model: selects its features, then calibrates its predictions."""

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
    """A compiled model behind a feature selection and in front of a calibration curve; both are optional.

    Attributes:
        inner: the wrapped compiled model.
        indices: indices of its features; None for all.
        curve: kind of the calibration curve; None for none.
        numbers: parameters of the curve.
    """

    inner: Compiled
    indices: list[int] | None = None
    curve: CurveKind | None = None
    numbers: Floats | None = None

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def packages(self) -> frozenset[str]:
        return self.inner.packages

    @property
    def inline_rows(self) -> int:
        return self.inner.inline_rows

    def predict_one(self, row: Row) -> float | list[float]:
        prediction = self.inner.predict_one(row if self.indices is None else [row[index] for index in self.indices])
        return float(self._calibrated(np.asarray([prediction]))[0]) if self.curve else prediction

    def predict_many(self, rows: Floats) -> Floats:
        return self._calibrated(self.inner.predict_many(rows if self.indices is None else self._selected(rows)))

    def save(self, folder: Path) -> dict[str, str]:
        numbers = None if self.numbers is None else self.numbers.tolist()
        wrapper = {"indices": self.indices, "curve": self.curve, "numbers": numbers}
        (folder / FILE).write_text(json.dumps(wrapper), encoding="utf-8")
        return {FILE: str(folder / FILE)} | self.inner.save(folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        inner = load_compiled({name: path for name, path in artifacts.items() if name != FILE})
        if inner is None:
            raise ValueError(f"{FILE} comes without the files of the compiled model that it wraps")
        wrapper = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        numbers = None if wrapper["numbers"] is None else np.asarray(wrapper["numbers"])
        return cls(inner, wrapper["indices"], wrapper["curve"], numbers)

    def _selected(self, rows: Floats) -> Floats:
        """The columns of its features; as numbers, if none of them is a text."""
        selected = rows[:, self.indices]
        if selected.dtype != object or any(isinstance(value, str) for value in selected[:1].ravel()):
            return selected
        return selected.astype(np.float64)

    def _calibrated(self, predictions: Floats) -> Floats:
        if self.curve is None:
            return predictions
        return calibrated_by(self.curve, np.asarray(self.numbers), predictions)
