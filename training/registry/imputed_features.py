"""Features behind the columns that a fitted imputer fills in and appends."""

from dataclasses import replace
from itertools import accumulate

from sklearn.impute import SimpleImputer

from lakehouse.arrays import MatrixFormat
from scoring.compiled.wrappers.imputed import Imputation
from scoring.encoder import Encoder


def imputation_of(
    imputer: SimpleImputer, encoder: Encoder, matrix_format: MatrixFormat
) -> tuple[Imputation, Encoder]:
    """The work of a fitted imputer on a row of features, and the encoder of the rows that it makes.

    The appended marks are further features of that encoder. A blank is in no name of a column of a table, so that no
    mark is taken for one.
    """
    widths = encoder.widths() if matrix_format == "sparse" else [1] * len(encoder.features)
    starts = [end - width for end, width in zip(accumulate(widths), widths, strict=True)]
    feature_at = dict(zip(starts, range(len(starts)), strict=True))  # a feature that may be missing has one column
    indices = [index for index, name in enumerate(encoder.features) if name in encoder.nullable_features]
    medians = [float(imputer.statistics_[starts[index]]) for index in indices]
    marked = [feature_at[column] for column in imputer.indicator_.features_.tolist()]
    marks = tuple(f"{encoder.features[index]} is missing" for index in marked)
    return Imputation(indices, medians, marked), replace(encoder, features=(*encoder.features, *marks))
