"""Raw inputs behind feature columns: the columns of each, and frames without some of them."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from scoring.encoder import Encoder, MatrixFormat
from training.frame.frame import TrainingFrame

Groups = Mapping[str, tuple[str, ...]]
ColumnIndices = npt.NDArray[np.intp]


def groups(encoder: Encoder) -> Groups:
    """Feature columns by raw column; the columns of one raw column change together."""
    columns: dict[str, list[str]] = {}
    for encoding in encoder.encodings:
        features = [name for name in encoding.features if name in encoder.features]
        columns.setdefault(encoding.column, []).extend(features)
    return {column: tuple(dict.fromkeys(features)) for column, features in columns.items() if features}


def without(
    frame: TrainingFrame, left_out: Collection[str], matrix_format: MatrixFormat
) -> tuple[TrainingFrame, ColumnIndices]:
    """The frame without some raw inputs, and the indices of the columns that it keeps in this matrix format.

    Raises:
        ValueError: no input is left.
    """
    removed = {feature for column in left_out for feature in groups(frame.encoder)[column]}
    features = tuple(feature for feature in frame.encoder.features if feature not in removed)
    if not features:
        raise ValueError("every input is left out")
    columns = np.flatnonzero([name.partition("=")[0] not in removed for name in frame.columns])
    kept = replace(
        frame,
        x=frame.x[:, columns],
        columns=tuple(frame.columns[index] for index in columns),
        features={name: frame.features[name] for name in features},
        encoder=replace(frame.encoder, features=features),
    )
    dense = np.flatnonzero([feature not in removed for feature in frame.encoder.features])
    return kept, columns if matrix_format == "sparse" else dense
