"""Features behind the columns that a pipeline keeps."""

from dataclasses import replace
from itertools import accumulate

from scoring.encoder import Encoder, MatrixFormat
from training.frame.raw_inputs import ColumnIndices


def kept_features(encoder: Encoder, matrix_format: MatrixFormat, columns: ColumnIndices) -> tuple[list[int], Encoder]:
    """Indices of the features behind these matrix columns, and the encoder of these features alone.

    A one-hot block is kept or left out as a unit.
    """
    sizes = encoder.categories() if matrix_format == "sparse" else {}
    widths = [sizes.get(feature, 1) for feature in range(len(encoder.features))]
    kept = set(columns.tolist())
    indices = [feature for feature, end in enumerate(accumulate(widths)) if end - 1 in kept]
    return indices, replace(encoder, features=tuple(encoder.features[index] for index in indices))
