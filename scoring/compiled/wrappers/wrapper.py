"""Base class of the compiled models around another one, whose files they save beside their own."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from scoring.compiled import Compiled, load_compiled


@dataclass(frozen=True)
class CompiledWrapper(ABC):
    """A compiled model around another one.

    Attributes:
        file: name of the file with the fields of the wrapper.
        inner: the wrapped compiled model.
    """

    file: ClassVar[str]
    inner: Compiled

    @property
    def kind(self) -> str:
        return self.inner.kind

    @property
    def packages(self) -> frozenset[str]:
        return self.inner.packages

    @property
    def inline_rows(self) -> int:
        return self.inner.inline_rows

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """The wrapper as JSON, without the wrapped model."""

    @classmethod
    @abstractmethod
    def around(cls, inner: Compiled, fields: dict[str, Any]) -> Self:
        """The wrapper of these fields."""

    def save(self, folder: Path) -> dict[str, str]:
        (folder / self.file).write_text(json.dumps(self.fields()), encoding="utf-8")
        return {self.file: str(folder / self.file)} | self.inner.save(folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        inner = load_compiled({name: path for name, path in artifacts.items() if name != cls.file})
        if inner is None:
            raise ValueError(f"{cls.file} comes without the files of the compiled model that it wraps")
        return cls.around(inner, json.loads(Path(artifacts[cls.file]).read_text(encoding="utf-8")))
