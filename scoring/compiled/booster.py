"""A booster in its library's own format, asked without the wrapper that it was fitted in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from lakehouse.arrays import Floats
from scoring.compiled import Row


@dataclass(frozen=True)
class CompiledBooster(ABC):
    """A model as its library saves it; which features are categories, and what it was fitted for, stand in it.

    Attributes:
        library: the package that reads it.
        file: what it is saved as.
    """

    model: bytes
    library: ClassVar[str]
    file: ClassVar[str]

    @classmethod
    def of(cls, pipeline: Any) -> Self:
        """The model of a pipeline of nothing else.

        Raises:
            ValueError: there are other steps.
        """
        *before, (_, model) = pipeline.steps
        if before:
            raise ValueError(f"steps before the model: {', '.join(name for name, _ in before)}")
        return cls(model.saved())

    @property
    def kind(self) -> str:
        return self.library

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({self.library})

    @property
    def quick_rows(self) -> int:
        return 32

    @abstractmethod
    def many(self, rows: Floats) -> Floats:
        """As `Compiled` says."""

    def one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.many(np.asarray([row]))[0].tolist()
        return predicted

    def save(self, folder: Path) -> dict[str, str]:
        (folder / self.file).write_bytes(self.model)
        return {self.file: str(folder / self.file)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[cls.file]).read_bytes())
