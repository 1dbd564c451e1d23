"""Fitting a candidate on Spark: on the rows of the frame that stayed there."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from training.frame.frame import TrainingFrame
from training.models.family import Family
from training.spark_ml.rows import RowsToFit
from training.spark_ml.vectors import LABEL, MEANS, VALIDATION, WEIGHT

SAMPLE = 200  # rows on which Spark's predictions are compared with those of the model that was read out


def fit_on_spark(
    family: Family,
    pipeline: Pipeline,
    frame: TrainingFrame,
    weights: npt.NDArray[np.float64],
    validation: npt.NDArray[np.bool_],
) -> Pipeline:
    """Fit the last step of a pipeline of the family on Spark; the result predicts without Spark.

    Only labels, weights, keys and target means go from here to Spark, and 200 predictions come back.

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
    if earlier:
        encoder = earlier[0][1]
        encoded = encoder.fit_transform(frame.inputs(family.matrix_format), frame.y)
        replaced = tuple(encoder.transformers[0][2])
        inputs = encoded[:count]
        if replaced:
            columns[MEANS] = encoded[:, : encoded.shape[1] - (len(frame.encoder.features) - len(replaced))]
    else:
        inputs = frame.rows(np.arange(count)).inputs(family.matrix_format)
    sizes = frame.encoder.categories()
    data = RowsToFit(frame.on_spark, frame.encoder.features, sizes, columns, replaced, inputs)
    return Pipeline([*earlier, (name, learner.fit(data))])
