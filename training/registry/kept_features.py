"""Features behind the columns that a pipeline reads: those that it keeps, and predictions of the bases of a stack."""

from dataclasses import replace
from itertools import accumulate

from lakehouse.arrays import MatrixFormat
from scoring.encoder import Encoder
from scoring.estimators.stack import Stack
from scoring.tasks import TASKS
from training.frame.raw_inputs import ColumnIndices


def kept_features(encoder: Encoder, matrix_format: MatrixFormat, columns: ColumnIndices) -> tuple[list[int], Encoder]:
    """Indices of the features behind these matrix columns, and the encoder of these features alone.

    A block of categories or terms is kept or left out as a unit.
    """
    if matrix_format == "sparse":
        widths = encoder.widths()
    elif matrix_format == "table":
        widths = [1] * len(encoder.features)
    else:  # a text has no dense column
        widths = [0 if name in encoder.text_features else 1 for name in encoder.features]
    kept, ends = set(columns.tolist()), accumulate(widths)
    indices = [
        feature for feature, (width, end) in enumerate(zip(widths, ends, strict=True)) if width and end - 1 in kept
    ]
    return indices, replace(encoder, features=tuple(encoder.features[index] for index in indices))


def number_features(encoder: Encoder) -> tuple[list[int], Encoder]:
    """Indices of the features that are numbers, and the encoder of these alone."""
    indices = [index for index, name in enumerate(encoder.features) if name not in encoder.text_features]
    return indices, replace(encoder, features=encoder.number_features)


def with_predictions(encoder: Encoder, stack: Stack) -> Encoder:
    """The encoder of the rows that the final estimator of a stack reads; a prediction is one feature or several."""
    width = len(stack.classes_) if TASKS[stack.task].declares_classes else 1
    names = (f"prediction {number}" for number in range(1, width * len(stack.bases) + 1))
    return replace(encoder, features=(*encoder.features, *names))
