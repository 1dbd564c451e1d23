"""XGBoost's own model: what it is fastest as where it has many categories.

A graph compares a row with each category of a split in turn, hundreds of them where there are 11,900 Kommunen; the
library asks one bit of a set.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from xgboost import Booster

from lakehouse.arrays import Floats
from scoring.compiled.booster import CompiledBooster


@dataclass(frozen=True)
class CompiledXgBoost(CompiledBooster):
    """Read once, and asked on one thread."""

    library: ClassVar[str] = "xgboost"
    file: ClassVar[str] = "model.ubj"
    _read: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        read = Booster(model_file=bytearray(self.model))
        read.set_param({"nthread": 1})
        self.__dict__.update(_read=read)  # frozen from here on

    def many(self, rows: Floats) -> Floats:
        found = np.asarray(self._read.inplace_predict(rows), dtype=np.float64)
        # Of single precision, probabilities sum to 1 up to its last digits only.
        return found / found.sum(axis=1, keepdims=True) if found.ndim > 1 else found
