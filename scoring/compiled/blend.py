"""A blend of forms: what each of them answers, averaged by weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Compiled, Row, load_compiled

FILE = "blend.json"


@dataclass(frozen=True)
class CompiledBlend:
    """Forms that take the same rows; their weights sum to 1."""

    members: Sequence[Compiled]
    weights: Sequence[float]

    @property
    def kind(self) -> str:
        return "blend of " + ", ".join(dict.fromkeys(member.kind for member in self.members))

    @property
    def packages(self) -> frozenset[str]:
        return frozenset().union(*(member.packages for member in self.members))

    @property
    def quick_rows(self) -> int:
        return min(member.quick_rows for member in self.members)

    def one(self, row: Row) -> float | list[float]:
        said = [member.one(row) for member in self.members]
        if isinstance(said[0], list):
            classes: list[float] = np.average(said, axis=0, weights=self.weights).tolist()
            return classes
        return float(np.dot(self.weights, np.asarray(said)))

    def many(self, rows: Floats) -> Floats:
        return np.asarray(np.average([member.many(rows) for member in self.members], axis=0, weights=self.weights))

    def save(self, folder: Path) -> dict[str, str]:
        """The files of each member, under names that no other has: MLflow keeps them all in one folder."""
        (folder / FILE).write_text(json.dumps(list(self.weights)), encoding="utf-8")
        saved = {FILE: str(folder / FILE)}
        for number, member in enumerate(self.members):
            own = folder / f"member-{number}"
            own.mkdir()
            for name, path in member.save(own).items():
                saved[f"{number}-{name}"] = str(Path(path).rename(folder / f"{number}-{name}"))
            own.rmdir()
        return saved

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        weights = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        members = [load_compiled(_files(artifacts, number)) for number in range(len(weights))]
        found = [member for member in members if member is not None]
        if len(found) < len(weights):
            raise ValueError(f"{FILE} comes with {len(found)} of the {len(weights)} forms that it blends")
        return cls(found, weights)


def _files(artifacts: Mapping[str, str], number: int) -> dict[str, str]:
    start = f"{number}-"
    return {name.removeprefix(start): path for name, path in artifacts.items() if name.startswith(start)}
