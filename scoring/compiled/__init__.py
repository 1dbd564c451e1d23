"""A fitted pipeline in the form that answers fastest, kept where it answers as the pipeline does.

One file for each kind. Compiling knows scikit-learn and its like; loading needs only what the kind runs on: numpy,
the ONNX runtime, CatBoost or XGBoost. All take the row of feature columns that the gold table has, an index as its
integer.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from lakehouse.arrays import Floats

Row = Sequence[float]

# The largest `difference` from the pipeline. Rounding to single precision stays below 1e-6 in the forests measured; a
# row that takes another branch of a tree is further away than this.
LIMIT = 1e-5


# What holds other forms comes first. Each is imported where a version has it: some run on large packages.
_KINDS = {
    "calibrated.json": ("calibrated", "CompiledCalibrated"),
    "blend.json": ("blend", "CompiledBlend"),
    "linear.json": ("linear", "CompiledLinear"),
    "model.onnx": ("onnx", "CompiledOnnx"),
    "model.cbm": ("catboost", "CompiledCatBoost"),
    "model.ubj": ("xgboost", "CompiledXgBoost"),
    "neighbours.npz": ("neighbours", "CompiledNeighbours"),
}


class Compiled(Protocol):
    """What answers in the pipeline's place."""

    @property
    def kind(self) -> str:
        """As the tag `compiled` of a version names it."""
        ...

    @property
    def packages(self) -> frozenset[str]:
        """What it runs on beside numpy."""
        ...

    @property
    def quick_rows(self) -> int:
        """So many rows take less time than would pass until another thread has begun with them."""
        ...

    def one(self, row: Row) -> float | list[float]:
        """What is predicted of one row of features: a number, or a probability for each class."""
        ...

    def many(self, rows: Floats) -> Floats:
        """The same for (rows, features): (rows,) or (rows, classes), each as `one` says it."""
        ...

    def save(self, folder: Path) -> dict[str, str]:
        """Write the files into an existing folder; the path of each by its name."""
        ...


def difference(found: Floats, expected: Floats) -> float:
    """The largest difference between two predictions of the same rows.

    It is relative to the expected number, or to the spread of all of them, where these exceed 1.

    >>> difference(np.asarray([0.5, 1.0]), np.asarray([0.25, 1.0]))
    0.25
    >>> difference(np.asarray([1000.0, 1000.0]), np.asarray([1001.0, 1000.0])) < 0.001
    True
    """
    if found.shape != expected.shape:
        return float("inf")
    scale = np.maximum(max(1.0, float(np.std(expected))), np.abs(expected))
    return float(np.max(np.abs(found - expected) / scale, initial=0.0))


def load_compiled(artifacts: Mapping[str, str]) -> Compiled | None:
    """The compiled form among a version's files, if there is one."""
    for name, (module, form) in _KINDS.items():
        if name in artifacts:
            loaded: Compiled = getattr(import_module(f"scoring.compiled.{module}"), form).load(artifacts)
            return loaded
    return None
