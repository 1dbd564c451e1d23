"""A network over tokens: finds the tokens of a row's texts, and predicts as the graph of the fitted network does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import Floats
from scoring.compiled import Row
from scoring.compiled.network import CompiledNetwork
from scoring.estimators.network import Network
from scoring.texts.token_rows import TokenRows

FILE = "tokens.json"


@dataclass(frozen=True)
class CompiledTokens:
    """The compiled network behind the tokenizer; see `TokenRows` for its attributes."""

    network: CompiledNetwork
    places: list[int]
    tokens: int
    tokenizer: str

    @classmethod
    def of(cls, rows: TokenRows, network: Network) -> Self:
        """Compile a fitted tokenizer and the network behind it."""
        return cls(CompiledNetwork(network.graph), list(rows.places), rows.tokens, rows.tokenizer_)

    @property
    def kind(self) -> str:
        return "tokens"

    @property
    def packages(self) -> frozenset[str]:
        return self.network.packages | {"tokenizers"}

    @property
    def inline_rows(self) -> int:
        return 0  # a text takes milliseconds

    @cached_property
    def _rows(self) -> TokenRows:
        return TokenRows(self.places, self.tokens, 0, self.tokenizer).fit(np.empty((0, 0)))

    def predict_one(self, row: Row) -> float | list[float]:
        predicted: float | list[float] = self.predict_many(np.asarray([row], dtype=object))[0].tolist()
        return predicted

    def predict_many(self, rows: npt.NDArray[Any]) -> Floats:
        return self.network.predict_many(self._rows.transform(rows))

    def save(self, folder: Path) -> dict[str, str]:
        fields = {"places": self.places, "tokens": self.tokens, "tokenizer": json.loads(self.tokenizer)}
        (folder / FILE).write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
        return {FILE: str(folder / FILE)} | self.network.save(folder)

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        fields = json.loads(Path(artifacts[FILE]).read_text(encoding="utf-8"))
        tokenizer = json.dumps(fields.pop("tokenizer"), ensure_ascii=False)
        return cls(CompiledNetwork.load(artifacts), **fields, tokenizer=tokenizer)
