"""The step that fills in missing numbers, for families whose models take none."""

from typing import TYPE_CHECKING

from training.models.family import Family

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from scoring.encoder import Encoder


def with_imputer(pipeline: "Pipeline", family: Family, encoder: "Encoder") -> "Pipeline":
    """The unfitted pipeline behind an imputer, if numbers may be missing and the family takes none that are.

    The imputer is a step of the pipeline, so that it learns from the fitted rows alone. A missing number becomes the
    median of its column. Behind the columns of the matrix comes one for each column that lacks a number in a fitted
    row; it is 1 where the number is missing.
    """
    if family.missing_values != "imputed" or not encoder.nullable_features:
        return pipeline
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline

    imputer = SimpleImputer(strategy="median", add_indicator=True)
    return Pipeline([("impute", imputer), *pipeline.steps])
