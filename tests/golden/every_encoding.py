"""Rows with every kind of encoding, made without an engine."""

from dataclasses import replace
from typing import Any

import numpy as np

from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from tests.unit.frames import alternating
from training.frame.frame import TrainingFrame

STATES, LEVELS, PLACES = (
    ("Bavaria", "Saxony", "O'Brien's"),
    ("low", "middle", "high"),
    ("", "Aachen", "Bonn", "Celle"),
)
ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            {"column": "amount", "as": "number", "type": "double", "impute": 2.5},
            {"column": "age", "as": "number", "minimum": 0, "maximum": 120, "impute": 40},
            {"column": "age", "as": "cohort", "bounds": [18, 50, 65]},
            {"column": "state", "as": "one_hot", "categories": STATES},
            {"column": "level", "as": "ordinal", "categories": LEVELS, "impute": "middle"},
            {"column": "place", "as": "category_index", "index": "gold.place_index"},
            {"column": "member", "as": "flag"},
        ]
    ),
    {"gold.place_index": PLACES},
    (),
)


def rows_of_every_encoding(task: str, rows: int = 120) -> TrainingFrame:
    """Rows of a binary task; `amount` carries the label."""
    frame = alternating(rows)
    named = tuple(name for encoding in ENCODER.encodings for name in encoding.features)
    encoder = replace(ENCODER, features=named)
    features = {
        name: np.asarray(values, dtype=np.float64) for name, values in encoder.features_of(records(rows)).items()
    }
    matrix = encoder.matrix(features)
    return replace(frame, x=matrix.values, columns=matrix.columns, features=features, encoder=encoder)


def records(rows: int) -> list[dict[str, Any]]:
    """Raw rows; every sixth value of a column is missing, where it may be."""
    draw = np.random.default_rng(5)
    amounts = alternating(rows).features["amount"].tolist()
    return [
        {
            "amount": None if row % 6 == 0 else amounts[row],
            "age": None if row % 6 == 1 else int(draw.integers(0, 100)),
            "state": None if row % 6 == 2 else STATES[draw.integers(3)],
            "level": None if row % 6 == 3 else LEVELS[draw.integers(3)],
            "place": None if row % 6 == 4 else PLACES[draw.integers(1, 4)],
            "member": bool(draw.integers(2)),
        }
        for row in range(rows)
    ]
