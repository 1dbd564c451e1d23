"""A linear model over numbers and one-hot blocks, evaluated as a sum over the features of a row.

The sparse matrix of 11,900 columns is never built: an index looks up one weight. Scaling is part of the weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import asinh, exp
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Row
from scoring.encoder import Encoder, MatrixFormat

FILE = "linear.json"
Link = Literal["logistic", "softmax", "identity"]
Weight = float | list[float]


@dataclass(frozen=True)
class CompiledLinear:
    """An intercept and one weight per feature for each output; an index has one weight per category."""

    link: Link
    arcsinh: bool
    intercepts: list[float]
    weights: list[list[Weight]]

    @property
    def kind(self) -> str:
        return "linear"

    @property
    def inline_rows(self) -> int:
        return 128

    @property
    def packages(self) -> frozenset[str]:
        return frozenset()

    @classmethod
    def of(cls, pipeline: Any, encoder: Encoder, matrix_format: MatrixFormat) -> Self:
        """Compile a fitted pipeline of scaling and a linear model.

        Raises:
            ValueError: the pipeline has other steps.
        """
        steps = dict(pipeline.steps)
        if unknown := sorted(steps.keys() - {"shape", "scale", "model"}):
            raise ValueError(f"unsupported steps: {', '.join(unknown)}")
        model, arcsinh = steps["model"], steps.get("shape", "passthrough") != "passthrough"
        weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        if "scale" in steps:
            weights = weights / steps["scale"].scale_
        intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(weights)).tolist()
        classes = 2 if len(weights) == 1 else len(weights)
        link: Link = "identity" if not hasattr(model, "classes_") else "logistic" if classes == 2 else "softmax"
        sizes = encoder.categories() if matrix_format == "sparse" else {}
        one = asinh(1.0) if arcsinh else 1.0
        by_feature = [_by_feature(output, len(encoder.features), sizes, one) for output in weights]
        return cls(link, arcsinh, intercepts, by_feature)

    def predict_one(self, row: Row) -> float | list[float]:
        outputs = zip(self.intercepts, self.weights, strict=True)
        sums = [self._sum(intercept, weights, row) for intercept, weights in outputs]
        if self.link == "logistic":
            return _logistic(sums[0])
        return _softmax(sums) if self.link == "softmax" else sums[0]

    def predict_many(self, rows: Floats) -> Floats:
        return np.asarray([self.predict_one(row) for row in rows.tolist()])

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_text(json.dumps(self.__dict__), encoding="utf-8")
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(**json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8")))

    def _sum(self, total: float, weights: Sequence[Weight], row: Row) -> float:
        for weight, value in zip(weights, row, strict=True):
            if type(weight) is list:
                # A category newer than the vocabulary counts as unknown.
                total += weight[int(value) if value < len(weight) else 0]
            elif value:
                total += weight * (asinh(value) if self.arcsinh else value)  # type: ignore[operator]
        return total


def _by_feature(weights: Floats, features: int, sizes: Mapping[int, int], one: float) -> list[Weight]:
    """Group the weights of the matrix columns by feature; `one` is the value of a 1 in a one-hot block."""
    grouped, start = list[Weight](), 0
    for feature in range(features):
        block = weights[start : start + sizes.get(feature, 1)]
        grouped.append((block * one).tolist() if feature in sizes else float(block[0]))
        start += len(block)
    return grouped


def _logistic(total: float) -> float:
    return 1.0 / (1.0 + exp(-total)) if total >= 0 else (powered := exp(total)) / (1.0 + powered)


def _softmax(sums: list[float]) -> list[float]:
    largest = max(sums)
    powers = [exp(each - largest) for each in sums]
    total = sum(powers)
    return [power / total for power in powers]
