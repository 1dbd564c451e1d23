"""A linear model over numbers and one-hot blocks, evaluated as a sum over the features of a row.

The sparse matrix of 11,900 columns is never built: an index looks up one weight. Products and sums are those of the
fitted pipeline in its order: the value, scaled, times the weight; the features one after another; the intercept last.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import asinh, exp
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from lakehouse.arrays import Floats, MatrixFormat
from scoring.compiled import Row
from scoring.compiled.links import expit, expit_each
from scoring.encoder import Encoder

FILE = "linear.json"
LinearLink = Literal["logistic", "softmax", "identity"]
Weight = float | list[float]
FEW = 12  # up to this many rows, a loop over Python's numbers is faster than one over numpy's columns


@dataclass(frozen=True)
class _Terms:
    """The weights of one output as arrays.

    Attributes:
        numbers: (features, 1) weight of each feature; 0 for an index.
        indices: the term of each category, by the feature that is an index.
    """

    numbers: Floats
    indices: Mapping[int, Floats]

    @classmethod
    def of(cls, weights: Sequence[Weight]) -> Self:
        numbers = [0.0 if isinstance(weight, list) else weight for weight in weights]
        indices = {at: np.asarray(weight) for at, weight in enumerate(weights) if isinstance(weight, list)}
        return cls(np.asarray(numbers)[:, None], indices)

    def sums(self, rows: Floats, scaled: Floats) -> Floats:
        """`_sum` of each row: the same products, added in the same order. A product with 0 changes no sum."""
        terms = np.zeros((len(self.numbers) + 1, len(rows)))
        np.multiply(self.numbers, scaled, out=terms[1:])
        for feature, weights in self.indices.items():
            column = rows[:, feature]
            terms[feature + 1] = weights[np.where(column < len(weights), column, 0).astype(np.intp)]
        # One after another, which `sum` does not promise.
        return np.asarray(np.add.accumulate(terms, axis=0, out=terms)[-1])


@dataclass(frozen=True)
class CompiledLinear:
    """An intercept and one weight per feature for each output.

    Attributes:
        weights: of each output and feature; for an index, the term of each category.
        factors: scaling of each feature; the number of an index is ignored. None in versions whose weights contain
            the scaling; their sum starts with the intercept.
    """

    link: LinearLink
    arcsinh: bool
    intercepts: list[float]
    weights: list[list[Weight]]
    factors: list[float] | None = None

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
        factors = 1 / steps["scale"].scale_ if "scale" in steps else np.ones(weights.shape[1])
        intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(weights)).tolist()
        classes = 2 if len(weights) == 1 else len(weights)
        link: LinearLink = "identity" if not hasattr(model, "classes_") else "logistic" if classes == 2 else "softmax"
        sizes = encoder.categories() if matrix_format == "sparse" else {}
        one = np.arcsinh(1.0) if arcsinh else 1.0  # the value of a 1 in a one-hot block
        widths = [sizes.get(feature, 1) for feature in range(len(encoder.features))]
        starts = np.cumsum([0, *widths[:-1]]).tolist()
        by_feature: list[list[Weight]] = [
            [
                ((one * factors[start : start + width]) * output[start : start + width]).tolist()
                if feature in sizes
                else float(output[start])
                for feature, (start, width) in enumerate(zip(starts, widths, strict=True))
            ]
            for output in weights
        ]
        return cls(link, arcsinh, intercepts, by_feature, [float(factors[start]) for start in starts])

    def predict_one(self, row: Row) -> float | list[float]:
        if self.factors is None:
            return self._of_before(row)
        shaped = np.arcsinh(row).tolist() if self.arcsinh else row
        scaled = [value * factor for value, factor in zip(shaped, self.factors, strict=True)]
        sums = [
            _sum(weights, row, scaled) + intercept
            for intercept, weights in zip(self.intercepts, self.weights, strict=True)
        ]
        if self.link == "softmax":
            probabilities: list[float] = softmax(np.asarray([sums]))[0].tolist()
            return probabilities
        return expit(sums[0]) if self.link == "logistic" else sums[0]

    def predict_many(self, rows: Floats) -> Floats:
        if self.factors is None or len(rows) <= FEW:
            return np.asarray([self.predict_one(row) for row in rows.tolist()])
        shaped = np.arcsinh(rows) if self.arcsinh else rows
        scaled = (shaped * np.asarray(self.factors)).T.copy()
        sums = np.stack(
            [
                terms.sums(rows, scaled) + intercept
                for intercept, terms in zip(self.intercepts, self._terms, strict=True)
            ],
            axis=1,
        )
        if self.link == "softmax":
            return softmax(sums)
        return expit_each(sums[:, 0]) if self.link == "logistic" else sums[:, 0]

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(**json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8")))

    @cached_property
    def _terms(self) -> list[_Terms]:
        return [_Terms.of(weights) for weights in self.weights]

    def _of_before(self, row: Row) -> float | list[float]:
        """The prediction of a version whose weights contain the scaling."""
        shaped = [asinh(value) for value in row] if self.arcsinh else row
        outputs = zip(self.intercepts, self.weights, strict=True)
        sums = [_sum(weights, row, shaped, intercept) for intercept, weights in outputs]
        if self.link == "softmax":
            largest = max(sums)
            powers = [exp(each - largest) for each in sums]
            total = sum(powers)
            return [power / total for power in powers]
        if self.link == "identity":
            return sums[0]
        return 1.0 / (1.0 + exp(-sums[0])) if sums[0] >= 0 else (powered := exp(sums[0])) / (1.0 + powered)


def _sum(weights: Sequence[Weight], row: Row, scaled: Row, total: float = 0.0) -> float:
    for weight, value, number in zip(weights, row, scaled, strict=True):
        if type(weight) is list:
            # A category newer than the vocabulary counts as unknown.
            total += weight[int(value) if value < len(weight) else 0]
        elif value:
            total += weight * number  # type: ignore[operator]
    return total


def softmax(sums: Floats) -> Floats:
    """(rows, classes) probabilities, as scikit-learn computes them."""
    powers = np.exp(sums - sums.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
