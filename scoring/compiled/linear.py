"""A linear model over numbers and one-hot blocks, as a sum over the features that a row has.

The sparse matrix of 11,900 columns is never made: of an index, one weight is looked up. Scaling is part of the
weights.
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
    """Of each output an intercept and a weight for each feature; of an index, a weight for each category."""

    link: Link
    arcsinh: bool
    intercepts: list[float]
    weights: list[list[Weight]]

    @property
    def kind(self) -> str:
        return "linear"

    @property
    def quick_rows(self) -> int:
        return 128

    @property
    def packages(self) -> frozenset[str]:
        return frozenset()

    @classmethod
    def of(cls, pipeline: Any, encoder: Encoder, takes: MatrixFormat) -> Self:
        """The model of a pipeline of scaling alone as weights.

        Raises:
            ValueError: the pipeline does more.
        """
        steps = dict(pipeline.steps)
        if strange := sorted(steps.keys() - {"shape", "scale", "model"}):
            raise ValueError(f"steps that are no scaling: {', '.join(strange)}")
        model, arcsinh = steps["model"], steps.get("shape", "passthrough") != "passthrough"
        weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        if "scale" in steps:
            weights = weights / steps["scale"].scale_
        intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(weights)).tolist()
        classes = 2 if len(weights) == 1 else len(weights)
        link: Link = "identity" if not hasattr(model, "classes_") else "logistic" if classes == 2 else "softmax"
        sizes = encoder.categories() if takes == "sparse" else {}
        parts = [_parts(each, len(encoder.features), sizes, asinh(1.0) if arcsinh else 1.0) for each in weights]
        return cls(link, arcsinh, intercepts, parts)

    def one(self, row: Row) -> float | list[float]:
        sums = [self._sum(start, weights, row) for start, weights in zip(self.intercepts, self.weights, strict=True)]
        if self.link == "logistic":
            return _logistic(sums[0])
        return _softmax(sums) if self.link == "softmax" else sums[0]

    def many(self, rows: Floats) -> Floats:
        return np.asarray([self.one(row) for row in rows.tolist()])

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_text(json.dumps(self.__dict__), encoding="utf-8")
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(**json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8")))

    def _sum(self, total: float, weights: Sequence[Weight], row: Row) -> float:
        for weight, value in zip(weights, row, strict=True):
            if type(weight) is list:
                # A category that is newer than the vocabulary is unknown to the model.
                total += weight[int(value) if value < len(weight) else 0]
            elif value:
                total += weight * (asinh(value) if self.arcsinh else value)  # type: ignore[operator]
        return total


def _parts(weights: Floats, features: int, sizes: Mapping[int, int], one: float) -> list[Weight]:
    """The weights of the matrix' columns by feature; `one` is what scaling sees of a 1 in a block."""
    parts, at = list[Weight](), 0
    for place in range(features):
        block = weights[at : at + sizes.get(place, 1)]
        parts.append((block * one).tolist() if place in sizes else float(block[0]))
        at += len(block)
    return parts


def _logistic(total: float) -> float:
    return 1.0 / (1.0 + exp(-total)) if total >= 0 else (powered := exp(total)) / (1.0 + powered)


def _softmax(sums: list[float]) -> list[float]:
    largest = max(sums)
    powers = [exp(each - largest) for each in sums]
    whole = sum(powers)
    return [power / whole for power in powers]
