"""A blend of compiled models: the weighted average of their predictions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row, load_compiled
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
        """Write the files of each member under unique names: MLflow keeps all of them in one folder."""
        (folder / FILE).write_text(json.dumps(list(self.weights)), encoding="utf-8")
        saved = {FILE: str(folder / FILE)}
        for number, member in enumerate(self.members):
            subfolder = folder / f"member-{number}"
            subfolder.mkdir()
            for name, path in member.save(subfolder).items():
                saved[f"{number}-{name}"] = str(Path(path).rename(folder / f"{number}-{name}"))
            subfolder.rmdir()
        return saved

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        weights = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        loaded = [load_compiled(_files(artifacts, number)) for number in range(len(weights))]
        members = [member for member in loaded if member is not None]
        if len(members) < len(weights):
            raise ValueError(f"{FILE} needs {len(weights)} compiled members, and {len(members)} of them have files")
        return cls(members, weights)


def _files(artifacts: Mapping[str, str], number: int) -> dict[str, str]:
    prefix = f"{number}-"
    return {name.removeprefix(prefix): path for name, path in artifacts.items() if name.startswith(prefix)}
