"""XGBoost's own model: its fastest form with many categories.

An ONNX graph compares a row with each category of a split in turn: hundreds of them for 11,900 municipalities. The
library tests one bit of a set.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from xgboost import Booster

from lakehouse.arrays import Floats
from scoring.compiled.booster import CompiledBooster


@dataclass(frozen=True)
class CompiledXgBoost(CompiledBooster):
    """An XGBoost model, loaded once, that predicts on one thread."""

    library: ClassVar[str] = "xgboost"
    file: ClassVar[str] = "model.ubj"
    _model: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        model = Booster(model_file=bytearray(self.model))
        model.set_param({"nthread": 1})
        self.__dict__.update(_model=model)  # frozen from here on

    def predict_many(self, rows: Floats) -> Floats:
        predictions = np.asarray(self._model.inplace_predict(rows), dtype=np.float64)
        if predictions.ndim == 1:
            return predictions
        # In single precision, probabilities sum to 1 only up to the last digits.
        return np.asarray(predictions / predictions.sum(axis=1, keepdims=True))
