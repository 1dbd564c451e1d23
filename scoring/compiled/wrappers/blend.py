"""A blend of compiled models: the weighted average of their predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row
from scoring.compiled.wrappers.members import load_members, save_members
from scoring.predictions import weighted_average

FILE = "blend.json"


@dataclass(frozen=True)
class CompiledBlend:
    """Compiled models that take the same rows, with weights that sum to 1."""

    members: Sequence[Compiled]
    weights: Sequence[float]

    @property
    def kind(self) -> str:
        return "blend of " + ", ".join(dict.fromkeys(member.kind for member in self.members))

    @property
    def packages(self) -> frozenset[str]:
        return frozenset().union(*(member.packages for member in self.members))

    @property
    def inline_rows(self) -> int:
        return min(member.inline_rows for member in self.members)

    def predict_one(self, row: Row) -> float | list[float]:
        predictions = [np.asarray(member.predict_one(row)) for member in self.members]
        blended: float | list[float] = weighted_average(predictions, self.weights).tolist()
        return blended

    def predict_many(self, rows: Floats) -> Floats:
        return weighted_average([member.predict_many(rows) for member in self.members], self.weights)

    def save(self, folder: Path) -> dict[str, str]:
        (folder / FILE).write_text(json.dumps(list(self.weights)), encoding="utf-8")
        return {FILE: str(folder / FILE)} | save_members(self.members, folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        weights = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        return cls(load_members(artifacts, len(weights), FILE), weights)
