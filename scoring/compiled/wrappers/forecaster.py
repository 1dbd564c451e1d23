"""Wraps a compiled model of scaled labels: predicts in the unit of the label, with bounds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row, load_compiled

FILE = "forecaster.json"


@dataclass(frozen=True)
class CompiledForecaster:
    """A compiled model of (label - level) / scale; see `scoring.forecasts.forecaster`.

    Attributes:
        inner: the wrapped compiled model; it takes the same rows.
        level, scale, step: indices of features.
        lower, upper: bounds at each step, in scales from the value.
    """

    inner: Compiled
    level: int
    scale: int
    step: int
    lower: list[float]
    upper: list[float]

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def packages(self) -> frozenset[str]:
        return self.inner.packages

    @property
    def inline_rows(self) -> int:
        return self.inner.inline_rows

    def predict_one(self, row: Row) -> list[float]:
        predicted = self.inner.predict_one(row)
        forecast: list[float] = self._forecasts(np.asarray([row], dtype=object), np.asarray([predicted]))[0].tolist()
        return forecast

    def predict_many(self, rows: Floats) -> Floats:
        return self._forecasts(rows, self.inner.predict_many(rows))

    def _forecasts(self, rows: Floats, predicted: Floats) -> Floats:
        level, scale, step = rows[:, [self.level, self.scale, self.step]].astype(np.float64).T
        value = level + scale * predicted
        steps = np.clip(step, 0, len(self.lower) - 1).astype(np.intp)
        lower, upper = (np.asarray(bounds)[steps] for bounds in (self.lower, self.upper))
        return np.stack([value, value + scale * lower, value + scale * upper, scale], axis=1)

    def save(self, folder: Path) -> dict[str, str]:
        wrapper = {name: value for name, value in vars(self).items() if name != "inner"}
        (folder / FILE).write_text(json.dumps(wrapper), encoding="utf-8")
        return {FILE: str(folder / FILE)} | self.inner.save(folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        inner = load_compiled({name: path for name, path in artifacts.items() if name != FILE})
        if inner is None:
            raise ValueError(f"{FILE} comes without the files of the compiled model that it wraps")
        return cls(inner, **json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8")))
