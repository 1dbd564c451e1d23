"""Predictors that travel to the executors: the pipeline of a trial, or a scorer in the form that is served."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lakehouse.arrays import Floats, MatrixFormat
from scoring.batch import PackedScorer
from scoring.encoder import Encoder
from scoring.encodings import FeatureColumns
from scoring.scorer import Scorer
from scoring.tasks import TASKS


@dataclass(frozen=True)
class PipelinePredictor:
    """A fitted pipeline with the encoder of its inputs.

    Attributes:
        task: name of the task.
    """

    task: str
    pipeline: Any
    encoder: Encoder
    matrix_format: MatrixFormat

    def __call__(self, features: FeatureColumns) -> Floats:
        return TASKS[self.task].predict(self.pipeline, self.encoder.inputs(self.matrix_format, features))


@dataclass(frozen=True)
class ScorerPredictor:
    """A scorer by its registered files, loaded once in each process of an executor."""

    packed: PackedScorer

    def __call__(self, features: FeatureColumns) -> Floats:
        return self.packed.scorer().predict(features)


@contextmanager
def packed(scorer: Scorer) -> Iterator[ScorerPredictor]:
    """The scorer as a predictor, as long as its files exist."""
    with TemporaryDirectory(prefix="score-") as folder:
        yield ScorerPredictor(PackedScorer.pack(Path(folder), scorer))
