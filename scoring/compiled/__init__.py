"""Compiled models: fast forms of a fitted pipeline with the same predictions. One module for each kind.

Compiling needs scikit-learn and the learners. Loading needs only what the kind runs on: numpy, the ONNX runtime,
CatBoost or XGBoost. Every kind takes a row of feature columns as the gold table has them, an index as its integer;
the kind `text` takes texts too.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from lakehouse.arrays import Floats

Row = Sequence[float]

# Largest accepted `difference` from the pipeline. Every kind computes as the fitted model does, so on x86-64 the
# difference is 0. Where a compiler joins a product and a sum (aarch64), a linear model's last bits may differ.
LIMIT = 1e-12

# Wrappers of other kinds come first. A kind is imported only if a version has it: some run on large packages.
_KINDS = {
    "forecaster.json": ("wrappers.forecaster", "CompiledForecaster"),
    "calibrated.json": ("wrappers.calibrated", "CompiledCalibrated"),
    "imputed.json": ("wrappers.imputed", "CompiledImputed"),
    "blend.json": ("wrappers.blend", "CompiledBlend"),
    "stack.json": ("wrappers.stack", "CompiledStack"),
    "linear.json": ("linear", "CompiledLinear"),
    "text.json": ("text", "CompiledText"),
    "tokens.json": ("tokens", "CompiledTokens"),
    "trees.onnx": ("trees", "CompiledTrees"),
    "model.onnx": ("onnx", "CompiledOnnx"),
    "model.cbm": ("catboost", "CompiledCatBoost"),
    "model.ubj": ("xgboost", "CompiledXgBoost"),
    "network.onnx": ("network", "CompiledNetwork"),
    "neighbours.npz": ("neighbours", "CompiledNeighbours"),
}


class Compiled(Protocol):
    """A model that predicts in place of the fitted pipeline."""

    @property
    def kind(self) -> str:
        """Name in the tag `compiled` of a version."""
        ...

    @property
    def packages(self) -> frozenset[str]:
        """Packages that it needs in addition to numpy."""
        ...

    @property
    def inline_rows(self) -> int:
        """Up to this many rows are predicted in the calling thread."""
        ...

    def predict_one(self, row: Row) -> float | list[float]:
        """Predict one row of features: a number, a probability for each class, or a forecast."""
        ...

    def predict_many(self, rows: Floats) -> Floats:
        """Predict (rows, features): (rows,), (rows, classes) or (rows, 4), each row as `predict_one` does."""
        ...

    def save(self, folder: Path) -> dict[str, str]:
        """Write the files into an existing folder; return their paths by name."""
        ...


def difference(found: Floats, expected: Floats) -> float:
    """The largest difference between two predictions of the same rows.

    It is relative to the expected number or to the standard deviation of all of them, if these exceed 1.

    >>> difference(np.asarray([0.5, 1.0]), np.asarray([0.25, 1.0]))
    0.25
    >>> difference(np.asarray([1000.0, 1000.0]), np.asarray([1001.0, 1000.0])) < 0.001
    True
    """
    if found.shape != expected.shape:
        return float("inf")
    scale = np.maximum(max(1.0, float(np.std(expected))), np.abs(expected))
    return float(np.max(np.abs(found - expected) / scale, initial=0.0))


def is_compiled(artifacts: Mapping[str, str]) -> bool:
    """True if a version's files include a compiled model."""
    return not artifacts.keys().isdisjoint(_KINDS)


def load_compiled(artifacts: Mapping[str, str]) -> Compiled | None:
    """The compiled model among a version's files, or None."""
    for name, (module, kind) in _KINDS.items():
        if name in artifacts:
            loaded: Compiled = getattr(import_module(f"scoring.compiled.{module}"), kind).load(artifacts)
            return loaded
    return None
