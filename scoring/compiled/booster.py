"""A boosting model in its library's own format, without the scikit-learn wrapper of the training."""

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
    """A model as its library saves it, including its categorical features and its objective.

    Attributes:
        library: package that loads the model.
        file: file name of the saved model.
    """

    model: bytes
    library: ClassVar[str]
    file: ClassVar[str]

    @classmethod
    def of(cls, pipeline: Any) -> Self:
        """Compile a pipeline that has the model as its only step.

        Raises:
            ValueError: the pipeline has other steps.
        """
        *earlier, (_, model) = pipeline.steps
        if earlier:
            raise ValueError(f"unsupported steps: {', '.join(name for name, _ in earlier)}")
        return cls(model.saved())

    @property
    def kind(self) -> str:
        return self.library

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({self.library})

    @property
    def inline_rows(self) -> int:
        return 32

    @abstractmethod
    def predict_many(self, rows: Floats) -> Floats:
        """See `Compiled.predict_many`."""

    def predict_one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.predict_many(np.asarray([row]))[0].tolist()
        return predicted

    def save(self, folder: Path) -> dict[str, str]:
        (folder / self.file).write_bytes(self.model)
        return {self.file: str(folder / self.file)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        return cls(Path(artifacts[cls.file]).read_bytes())
