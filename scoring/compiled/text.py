"""A linear model over texts and numbers, evaluated as a sum over the features of a row.

It needs neither scikit-learn nor scipy: terms are found by the rule of training, and looked up one by one. Products
and sums are those of the fitted pipeline in its order, so a text has the same prediction alone and among others.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import log, sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Row
from scoring.compiled.linear import LinearLink, softmax
from scoring.compiled.links import expit
from scoring.encoder import Encoder
from scoring.texts.terms import Analysis

FILE = "text.json"


@dataclass(frozen=True)
class NumberTerm:
    """The part of a number: the value, scaled, times the weight of each output."""

    factor: float
    weights: list[float]

    def add(self, value: float, totals: list[float]) -> None:
        """Add its part to the sum of each output."""
        if value:
            scaled = value * self.factor
            for output, weight in enumerate(self.weights):
                totals[output] += weight * scaled


@dataclass(frozen=True)
class CategoryTerm:
    """The part of a category index: a number for each category of each output; 0 for newer categories."""

    categories: list[list[float]]

    def add(self, value: float, totals: list[float]) -> None:
        """Add its part to the sum of each output."""
        for output, terms in enumerate(self.categories):
            totals[output] += terms[int(value) if value < len(terms) else 0]


@dataclass(frozen=True)
class TextTerm:
    """The part of a text: TF-IDF of its terms, of length 1, times the weights of each output.

    Attributes:
        words, characters: the rule that finds terms.
        terms: in the order of the columns of the fitted model, without those of weight 0.
        idf: of each term.
        weights: of each output and term.
    """

    words: tuple[int, int] | None
    characters: tuple[int, int] | None
    terms: list[str]
    idf: list[float]
    weights: list[list[float]]

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        return {term: position for position, term in enumerate(self.terms)}

    @cached_property
    def _analysis(self) -> Analysis:
        return Analysis(self.words, self.characters)

    def add(self, value: str, totals: list[float]) -> None:
        """Add its part to the sum of each output."""
        counts = self._analysis.counts(value, self._positions)
        weighted = [((1.0 + log(count)) * self.idf[position], position) for position, count in counts]
        squares = 0.0
        for number, _ in weighted:
            squares += number * number
        length = sqrt(squares) or 1.0
        for output, weights in enumerate(self.weights):
            total = totals[output]
            for number, position in weighted:
                total += weights[position] * (number / length)
            totals[output] = total


Term = NumberTerm | CategoryTerm | TextTerm
_KINDS: Mapping[str, type[Term]] = {"factor": NumberTerm, "categories": CategoryTerm, "terms": TextTerm}


@dataclass(frozen=True)
class CompiledText:
    """An intercept for each output, and the part of each feature, of which at least one is a text."""

    link: LinearLink
    arcsinh: bool
    intercepts: list[float]
    features: Sequence[Term]

    @property
    def kind(self) -> str:
        return "text"

    @property
    def inline_rows(self) -> int:
        return 16

    @property
    def packages(self) -> frozenset[str]:
        return frozenset()

    @classmethod
    def of(cls, pipeline: Any, encoder: Encoder) -> Self:
        """Compile a fitted pipeline of term weights and a linear model.

        Raises:
            ValueError: the pipeline has other steps.
        """
        steps = dict(pipeline.steps)
        if unknown := sorted(steps.keys() - {"terms", "model"}):
            raise ValueError(f"unsupported steps: {', '.join(unknown)}")
        terms, model = steps["terms"], steps["model"]
        weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        intercepts = np.broadcast_to(np.asarray(model.intercept_, dtype=np.float64), len(weights)).tolist()
        classes = 2 if len(weights) == 1 else len(weights)
        link: LinearLink = "identity" if not hasattr(model, "classes_") else "logistic" if classes == 2 else "softmax"
        arcsinh = terms.shape == "arcsinh"
        parts, start = list[Term](), 0
        for feature, width in zip(encoder.features, encoder.widths(), strict=True):
            columns = slice(start, start + width)
            start += width
            factors, of_feature = terms.factors_[columns], weights[:, columns]
            if feature in encoder.text_features:
                rule, used = encoder.text_features[feature], np.flatnonzero(factors)
                vocabulary = [encoder.vocabularies[feature][at] for at in used.tolist()]
                parts.append(
                    TextTerm(
                        rule.words, rule.characters, vocabulary, factors[used].tolist(), of_feature[:, used].tolist()
                    )
                )
            elif encoder.is_index(feature):
                one = np.arcsinh(1.0) if arcsinh else 1.0
                parts.append(CategoryTerm([((one * factors) * output).tolist() for output in of_feature]))
            else:
                parts.append(NumberTerm(float(factors[0]), of_feature[:, 0].tolist()))
        return cls(link, arcsinh, intercepts, parts)

    def predict_one(self, row: Row) -> float | list[float]:
        totals = [0.0] * len(self.intercepts)
        for term, value in zip(self.features, row, strict=True):
            term.add(float(np.arcsinh(value)) if self.arcsinh and isinstance(term, NumberTerm) else value, totals)  # type: ignore[arg-type]  # a text feature has texts
        sums = [total + intercept for total, intercept in zip(totals, self.intercepts, strict=True)]
        if self.link == "softmax":
            probabilities: list[float] = softmax(np.asarray([sums]))[0].tolist()
            return probabilities
        return expit(sums[0]) if self.link == "logistic" else sums[0]

    def predict_many(self, rows: Floats) -> Floats:
        return np.asarray([self.predict_one(row) for row in rows.tolist()])

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        fields = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        parts = [next(kind for key, kind in _KINDS.items() if key in part)(**part) for part in fields["features"]]
        return cls(**{**fields, "features": parts})
