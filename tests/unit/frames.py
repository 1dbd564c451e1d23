"""Small training frames, made without an engine."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.tasks import BINARY
from training.frame.frame import TrainingFrame
from training.use_case.split import SplitPlan

ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            {"column": "amount", "as": "number", "type": "double"},
            {"column": "place", "as": "category_index", "index": "gold.place_index"},
            {"column": "known", "as": "number", "impute": 0},
        ]
    ),
    {"gold.place_index": ("", "Aachen", "Bonn", "Celle")},
    ("amount", "place_index", "known", "known_is_missing"),
)


def frame(days: Sequence[int], labels: Sequence[int], seed: int = 0) -> TrainingFrame:
    """A frame of rows at these days; `amount` carries the label, and noise."""
    draw = np.random.default_rng(seed)
    y: npt.NDArray[np.int64] = np.asarray(labels, dtype=np.int64)
    features = {
        "amount": y + draw.normal(0, 0.5, len(y)),
        "place_index": draw.integers(0, 4, len(y)).astype(np.float64),
        "known": draw.integers(0, 9, len(y)).astype(np.float64),
        "known_is_missing": np.zeros(len(y)),
    }
    matrix = ENCODER.matrix(features)
    times = np.datetime64("2020-01-01", "us") + np.asarray(days) * np.timedelta64(1, "D")
    return TrainingFrame(
        BINARY, matrix.values, matrix.columns, features, y, times, np.arange(len(y)), ENCODER, {"gold.t": 3}
    )


def alternating(rows: int, seed: int = 0) -> TrainingFrame:
    """One row a day, labels 0 and 1 in turn."""
    return frame(range(rows), [i % 2 for i in range(rows)], seed)


def by_time(holdout: float = 0.15, folds: int = 4) -> SplitPlan:
    """The plan of a split by time."""
    return SplitPlan(holdout=holdout, folds=folds)
