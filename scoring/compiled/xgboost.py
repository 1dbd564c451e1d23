"""XGBoost's own model: its fastest form with many categories.

An ONNX graph compares a row with each category of a split in turn: hundreds of them for 11,900 municipalities. The
library tests one bit of a set.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from xgboost import Booster

from lakehouse.arrays import Floats
from scoring.compiled.booster import CompiledBooster
from scoring.compiled.links import both_normalised
from scoring.predictions import normalised

NORMALISED = "lakehouse_normalised"  # attribute of a binary model whose probabilities are those of the estimator


@dataclass(frozen=True)
class CompiledXgBoost(CompiledBooster):
    """An XGBoost model, loaded once, that predicts on one thread."""

    library: ClassVar[str] = "xgboost"
    file: ClassVar[str] = "model.ubj"
    _model: Any = field(init=False, compare=False, repr=False)
    _normalised: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        model = Booster(model_file=bytearray(self.model))
        model.set_param({"nthread": 1})
        self.__dict__.update(_model=model, _normalised=model.attr(NORMALISED) is not None)  # frozen from here on

    @classmethod
    def of(cls, pipeline: Any) -> Self:
        compiled = super().of(pipeline)
        if len(getattr(pipeline.steps[-1][1].model_, "classes_", ())) != 2:
            return compiled
        compiled._model.set_attr(**{NORMALISED: "1"})
        return cls(bytes(compiled._model.save_raw("ubj")))

    def predict_many(self, rows: Floats) -> Floats:
        predictions = self._model.inplace_predict(rows)
        if self._normalised:
            return both_normalised(predictions)
        return np.asarray(predictions, dtype=np.float64) if predictions.ndim == 1 else normalised(predictions)
