"""A stack of compiled models: the final one reads the features and the predictions of the others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row
from scoring.compiled.wrappers.members import load_members, save_members
from scoring.predictions import side_by_side

FILE = "stack.json"


@dataclass(frozen=True)
class CompiledStack:
    """Compiled models in two layers; the final one takes the predictions of the bases behind the features."""

    bases: Sequence[Compiled]
    final_estimator: Compiled

    @property
    def kind(self) -> str:
        bases = ", ".join(dict.fromkeys(base.kind for base in self.bases))
        return f"stack of {self.final_estimator.kind} on {bases}"

    @property
    def packages(self) -> frozenset[str]:
        return self.final_estimator.packages.union(*(base.packages for base in self.bases))

    @property
    def inline_rows(self) -> int:
        return min(each.inline_rows for each in (*self.bases, self.final_estimator))

    def predict_one(self, row: Row) -> float | list[float]:
        features = list(row)
        for base in self.bases:
            predicted = base.predict_one(row)
            features += predicted if isinstance(predicted, list) else [predicted]
        return self.final_estimator.predict_one(features)

    def predict_many(self, rows: Floats) -> Floats:
        predicted = side_by_side([base.predict_many(rows) for base in self.bases])
        return self.final_estimator.predict_many(np.hstack([rows, predicted]))

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_text(json.dumps({"bases": len(self.bases)}), encoding="utf-8")
        return {FILE: str(folder / FILE)} | save_members([*self.bases, self.final_estimator], folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        bases = int(json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))["bases"])
        *layer, final_estimator = load_members(artifacts, bases + 1, FILE)
        return cls(layer, final_estimator)
