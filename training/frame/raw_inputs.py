"""Raw inputs behind feature columns: the columns of each, and frames without some of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lakehouse.arrays import MatrixFormat
from scoring.encoder import Encoder
from scoring.encodings import FeatureColumns
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


def constant_inputs(encoder: Encoder) -> frozenset[str]:
    """Raw columns whose every feature was constant in training: requests send them, and the model ignores them."""
    return frozenset(encoding.column for encoding in encoder.encodings) - groups(encoder).keys()


def without(
    frame: TrainingFrame, left_out: Collection[str], matrix_format: MatrixFormat, features: Collection[str] = ()
) -> tuple[TrainingFrame, ColumnIndices]:
    """The frame without some raw inputs, and the indices of the columns that it keeps in this matrix format.

    Args:
        left_out: the raw inputs.
        features: further features without which the frame is.

    Raises:
        ValueError: no input is left.
    """
    removed = {*features, *(feature for column in left_out for feature in groups(frame.encoder)[column])}
    kept = without_features(frame, removed)
    if not kept.encoder.features:
        raise ValueError("every input is left out")
    encoder = frame.encoder
    names = {"sparse": frame.columns, "dense": encoder.number_features, "table": encoder.features}[matrix_format]
    return kept, _kept_columns(names, removed)


def empty_features(frame: TrainingFrame) -> list[str]:
    """Features that are missing in every row: there is nothing to learn of them."""
    return [name for name in frame.encoder.nullable_features if np.isnan(frame.features[name]).all()]


def without_features(frame: TrainingFrame, removed: Collection[str]) -> TrainingFrame:
    """The frame whose matrix and encoder lack some features; `features` keeps their values."""
    columns = _kept_columns(frame.columns, removed)
    return replace(
        frame,
        x=frame.x[:, columns],
        columns=tuple(frame.columns[index] for index in columns),
        encoder=replace(
            frame.encoder, features=tuple(name for name in frame.encoder.features if name not in removed)
        ),
    )


def with_features(frame: TrainingFrame, columns: FeatureColumns) -> TrainingFrame:
    """The frame with further numbers, which no encoding makes, behind its features."""
    from scipy import sparse

    return replace(
        frame,
        x=sparse.hstack([frame.x, sparse.csr_matrix(np.column_stack([*columns.values()]))], format="csr"),
        columns=(*frame.columns, *columns),
        features={**frame.features, **columns},
        encoder=replace(frame.encoder, features=(*frame.encoder.features, *columns)),
    )


def _kept_columns(names: Sequence[str], removed: Collection[str]) -> ColumnIndices:
    """Indices of the columns of other features; a column of a category index is named `feature=category`."""
    return np.flatnonzero([name.partition("=")[0] not in removed for name in names])
