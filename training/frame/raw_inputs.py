"""The raw inputs behind feature columns: which columns come from each, and a frame without some of them."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scoring.encoder import Encoder, MatrixFormat
from training.frame.frame import TrainingFrame

Groups = Mapping[str, tuple[str, ...]]
ColumnPlaces = npt.NDArray[np.intp]


def groups(encoder: Encoder) -> Groups:
    """The feature columns that come from each raw column, and so change together."""
    found: dict[str, list[str]] = {}
    for encoding in encoder.encodings:
        features = [name for name in encoding.encode([], encoder.vocabularies) if name in encoder.features]
        found.setdefault(encoding.column, []).extend(features)
    return {column: tuple(dict.fromkeys(features)) for column, features in found.items() if features}


def without(
    frame: TrainingFrame, left_out: Collection[str], form: MatrixFormat
) -> tuple[TrainingFrame, ColumnPlaces]:
    """The frame without some raw inputs, and which places of a row in this form it keeps.

    Raises:
        ValueError: nothing would be left.
    """
    gone = {feature for column in left_out for feature in groups(frame.encoder)[column]}
    features = tuple(feature for feature in frame.encoder.features if feature not in gone)
    if not features:
        raise ValueError("every input is left out")
    columns = np.flatnonzero([name.partition("=")[0] not in gone for name in frame.columns])
    kept = replace(
        frame,
        x=frame.x[:, columns],
        columns=tuple(frame.columns[place] for place in columns),
        features={name: frame.features[name] for name in features},
        encoder=replace(frame.encoder, features=features),
    )
    dense = np.flatnonzero([feature not in gone for feature in frame.encoder.features])
    return kept, columns if form == "sparse" else dense
