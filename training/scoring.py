"""From a raw record to an answer: what every registered version is made of, in training, batch and endpoint alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import skops.io
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from lakehouse.errors import LakehouseError
from training.contracts import check
from training.encoding import ENCODINGS, Columns, Encoder

Floats = npt.NDArray[np.float64]

PIPELINE, SCORER = "pipeline.skops", "scorer.json"

# What our own families may bring that skops does not trust by itself. Anything else in a file is refused.
TRUSTED = frozenset({"numpy.arcsinh", "numpy.ufunc", "training.models.dense.DenseWhereSmall"})


class ArtifactRefused(LakehouseError):
    """A model file holds types that no family of ours writes."""

    @classmethod
    def untrusted(cls, path: Path, types: Sequence[str]) -> "ArtifactRefused":
        return cls(
            f"{path} holds types that are not trusted: {', '.join(types)}",
            hint="Train the version again; if a new family needs them, add them to training.scoring.TRUSTED.",
        )


@dataclass(frozen=True)
class Answering:
    """What an answer is made of: its fields in order, and from which probability on the label is 1."""

    fields: tuple[str, ...]
    threshold: float


@dataclass(frozen=True)
class Scorer:
    """A fitted pipeline with all it needs to answer raw records."""

    pipeline: Any
    encoder: Encoder
    answering: Answering

    def probabilities(self, features: Columns) -> Floats:
        """The probability of label 1 for each row of feature columns, as the gold table has them."""
        return np.asarray(self.pipeline.predict_proba(self.encoder.matrix(features).values)[:, 1], dtype=np.float64)

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One answer for each raw record.

        Raises:
            ContractViolation: a record breaks the input contract.
        """
        if not records:
            return []
        check(records, self.encoder.encodings)
        probabilities = self.probabilities(self.encoder.features_of(records)).tolist()
        return [self._answer(probability) for probability in probabilities]

    def _answer(self, probability: float) -> dict[str, Any]:
        values = {"label": int(probability >= self.answering.threshold), "probability": probability}
        return {field: values[field] for field in self.answering.fields}

    def save(self, folder: Path) -> dict[str, str]:
        """Write the artifacts into an existing folder; the path of each by its name."""
        skops.io.dump(self.pipeline, folder / PIPELINE)
        about = {
            "encodings": ENCODINGS.dump_python(self.encoder.encodings, mode="json", by_alias=True),
            "vocabularies": {name: list(words) for name, words in self.encoder.vocabularies.items()},
            "features": list(self.encoder.features),
            "fields": list(self.answering.fields),
            "threshold": self.answering.threshold,
        }
        (folder / SCORER).write_text(json.dumps(about, indent=1), encoding="utf-8")
        return {name: str(folder / name) for name in (PIPELINE, SCORER)}

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        """Read the artifacts; nothing in them is executed.

        Raises:
            ArtifactRefused: the pipeline holds types that are not trusted.
        """
        path = Path(artifacts[PIPELINE])
        types = skops.io.get_untrusted_types(file=path)
        if strange := sorted(set(types) - TRUSTED):
            raise ArtifactRefused.untrusted(path, strange)
        about = json.loads(Path(artifacts[SCORER]).read_text(encoding="utf-8"))
        encoder = Encoder(
            ENCODINGS.validate_python(about["encodings"]), about["vocabularies"], tuple(about["features"])
        )
        pipeline = skops.io.load(path, trusted=types)
        return cls(pipeline, encoder, Answering(tuple(about["fields"]), about["threshold"]))


class ScoringModel(PythonModel):
    """The MLflow face of a scorer."""

    scorer: Scorer

    def load_context(self, context: PythonModelContext) -> None:
        self.scorer = Scorer.load(context.artifacts)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answers for a frame of raw columns, one row each."""
        return pd.DataFrame(self.answer(_records(model_input)))

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same for records as JSON brings them, without pandas between."""
        return self.scorer.answer(records)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    rows = zip(*columns.values(), strict=True)
    return [{name: _or_none(value) for name, value in zip(columns, row, strict=True)} for row in rows]


def _or_none(value: Any) -> Any:
    # Of a list, pandas would say for each element whether it is missing.
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value
