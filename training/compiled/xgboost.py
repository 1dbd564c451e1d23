"""XGBoost's own model, asked without its scikit-learn wrapper: what it is fastest as where it has many categories.

A graph compares a row with each category of a split in turn, hundreds of them where there are 11,900 Kommunen; the
library asks one bit of a set.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from xgboost import Booster

from training.compiled import Floats, Row

FILE = "model.ubj"


@dataclass(frozen=True)
class XgBoosted:
    """A model in XGBoost's format; which features are categories, and what it was fitted for, stand in it."""

    model: bytes
    _read: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        read = Booster({"nthread": 1})
        read.load_model(bytearray(self.model))
        read.set_param({"nthread": 1})  # a loaded one has its own
        self.__dict__.update(_read=read)  # frozen from here on

    @property
    def kind(self) -> str:
        return "xgboost"

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({"xgboost"})

    @property
    def quick_rows(self) -> int:
        return 32

    @classmethod
    def of(cls, pipeline: Any) -> Self:
        """The model of a pipeline of nothing else.

        Raises:
            ValueError: there are other steps.
        """
        *before, (_, model) = pipeline.steps
        if before:
            raise ValueError(f"steps before the model: {', '.join(name for name, _ in before)}")
        return cls(bytes(model.model_.get_booster().save_raw("ubj")))

    def one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.many(np.asarray([row]))[0].tolist()
        return predicted

    def many(self, rows: Floats) -> Floats:
        found = np.asarray(self._read.inplace_predict(rows), dtype=np.float64)
        # Of single precision, probabilities sum to 1 up to its last digits only.
        return found / found.sum(axis=1, keepdims=True) if found.ndim > 1 else found

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_bytes(self.model)
        return {FILE: str(folder / FILE)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[FILE]).read_bytes())
