"""Wraps a compiled model: selects its features, then calibrates its predictions."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row
from scoring.compiled.wrappers.wrapper import CompiledWrapper
from scoring.estimators.calibration_curve import CurveKind, calibrated_by


@dataclass(frozen=True)
class CompiledCalibrated(CompiledWrapper):
    """A compiled model behind a feature selection and in front of a calibration curve; both are optional.

    Attributes:
        indices: indices of its features; None for all.
        curve: kind of the calibration curve; None for none.
        numbers: parameters of the curve.
    """

    file: ClassVar[str] = "calibrated.json"
    indices: list[int] | None = None
    curve: CurveKind | None = None
    numbers: Floats | None = None

    def predict_one(self, row: Row) -> float | list[float]:
        prediction = self.inner.predict_one(row if self.indices is None else [row[index] for index in self.indices])
        return float(self._calibrated(np.asarray([prediction]))[0]) if self.curve else prediction

    def predict_many(self, rows: Floats) -> Floats:
        return self._calibrated(self.inner.predict_many(rows if self.indices is None else self._selected(rows)))

    def fields(self) -> dict[str, Any]:
        numbers = None if self.numbers is None else self.numbers.tolist()
        return {"indices": self.indices, "curve": self.curve, "numbers": numbers}

    @classmethod
    def around(cls, inner: Compiled, fields: dict[str, Any]) -> Self:
        numbers = None if fields["numbers"] is None else np.asarray(fields["numbers"])
        return cls(inner, fields["indices"], fields["curve"], numbers)

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
