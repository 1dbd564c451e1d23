"""Fitting a candidate on Spark: on the rows of the frame that stayed there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from training.frame.frame import TrainingFrame
from training.models.family import Family
from training.models.target_encoding import FOLDS
from training.spark_ml.column_names import LABEL, MEANS, VALIDATION, WEIGHT
from training.spark_ml.rows import RowsToFit

SAMPLE = 200  # rows on which Spark's predictions are compared with those of the model that was read out
MOST_LABELS = 100  # distinct labels that show a step its shape


def fit_on_spark(
    family: Family,
    pipeline: Pipeline,
    frame: TrainingFrame,
    weights: npt.NDArray[np.float64],
    validation: npt.NDArray[np.bool_],
) -> Pipeline:
    """Fit the last step of a pipeline of the family on Spark; the result predicts without Spark.

    Only labels, weights, keys and target means go from here to Spark. 200 rows and their predictions come back, and
    each category index that target means replace.

    Args:
        weights: (rows,) weight of each row.
        validation: (rows,) True for the rows on which early stopping validates.

    Raises:
        ValueError: the learner cannot learn from these rows.
    """
    assert frame.on_spark is not None  # noqa: S101  (the frame of a search with such a family has it)
    *earlier, (name, learner) = pipeline.steps
    columns: dict[str, npt.NDArray[Any]] = {
        LABEL: frame.y.astype(np.float64),
        WEIGHT: weights,
        VALIDATION: validation,
    }
    count = len(frame) if frame.on_spark.source.is_sent else min(SAMPLE, len(frame))
    replaced: tuple[int, ...] = ()
    inputs = frame.rows(np.arange(count)).inputs(family.matrix_format)
    if earlier:
        step = earlier[0][1]
        if replaced := tuple(step.transformers[0][2]):
            columns[MEANS] = fit_target_means(step, frame, replaced)
            inputs = np.hstack([columns[MEANS][:count], np.delete(inputs, replaced, axis=1)])
        else:
            step.fit(inputs, frame.y[:count])
    sizes = frame.encoder.categories()
    data = RowsToFit(frame.on_spark, frame.encoder.features, sizes, columns, replaced, inputs)
    return Pipeline([*earlier, (name, learner.fit(data))])


def fit_target_means(step: Any, frame: TrainingFrame, replaced: Sequence[int]) -> npt.NDArray[np.float64]:
    """Fit a step of `target_encoder`, and return (rows, columns) its means by cross fitting.

    It reads no other column than those that it replaces, which may be all that leaves Spark.
    """
    ((name, encoder, _),) = step.transformers
    names = tuple(frame.encoder.features[position] for position in replaced)
    categories = replace(frame.encoder, features=names).dense(frame.columns_of(names))
    means: npt.NDArray[np.float64] = encoder.fit_transform(categories, frame.y)
    # The step learns its shape from as few rows as cross fitting accepts; then it gets the encoder of all rows.
    labels = np.repeat(np.unique(frame.y)[:MOST_LABELS], FOLDS)
    step.fit(np.zeros((len(labels), len(frame.encoder.features))), labels)
    (_, _, columns), *rest = step.transformers_
    step.transformers_ = [(name, encoder, columns), *rest]
    return means
