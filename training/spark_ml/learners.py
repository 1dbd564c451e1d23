"""Learners of Spark ML. Each fits on Spark, is read out, and is freed there: only arrays are left.

A model stays on a Spark Connect server, whose memory for models is small, until the last Python object of it is gone.
So no object of Spark leaves `fit`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import functions as F  # noqa: N812  (the name every PySpark user knows)

from lakehouse.arrays import Floats
from lakehouse.errors import first_line
from scoring.compiled import LIMIT, difference
from scoring.estimators.spark_linear import SparkLogistic
from scoring.estimators.spark_trees import Ensemble
from scoring.tasks import TASKS
from training.spark_ml.column_names import FEATURES, LABEL, POSITION, WEIGHT
from training.spark_ml.rows import RowsToFit, cached

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PREDICTED = "$predicted"


class ReadOutDiffers(ValueError):
    """The model that was read out predicts other numbers than Spark."""


@dataclass(frozen=True)
class SparkMlLearner(ABC):
    """A learner of Spark ML for one task.

    Attributes:
        task: name of the task.
        options: parameters of Spark's estimator.
    """

    task: str
    options: Mapping[str, Any]

    is_sparse: ClassVar[bool] = False

    def fit(self, data: RowsToFit) -> Any:
        """Fit on Spark, and return the model without Spark, once it predicts what Spark predicts.

        Raises:
            ValueError: Spark cannot learn from these rows, or the model has no compiled form.
            ReadOutDiffers: the model that was read out predicts other numbers than Spark.
        """
        columns = {"featuresCol": FEATURES, "labelCol": LABEL, "weightCol": WEIGHT}
        try:
            with cached(data.sparse() if self.is_sparse else data.dense()) as rows:
                model = self._estimator()(**columns, **self.options).fit(rows)
                fitted = self._read(model, rows.sparkSession)
                expected = self._predicted(model, rows.where(F.col(POSITION).isin(data.sample.tolist())))
        except PySparkException as err:
            raise ValueError(f"Spark cannot fit this candidate: {first_line(err)}") from err
        self._require_equal(fitted, data.inputs[np.argsort(data.sample)], expected)
        return fitted

    @abstractmethod
    def _estimator(self) -> Any:
        """The class of Spark's estimator."""

    @abstractmethod
    def _read(self, model: Any, session: "SparkSession") -> Any:
        """The fitted model, without Spark."""

    def _predicted(self, model: Any, sample: "DataFrame") -> Floats:
        """Spark's predictions in the order of the positions: (rows,) or (rows, classes)."""
        from pyspark.ml.functions import vector_to_array

        scored = model.transform(sample)
        predicts_classes = TASKS[self.task].predicts_classes
        column = vector_to_array(model.getProbabilityCol()) if predicts_classes else scored[model.getPredictionCol()]
        found: pa.Table = scored.select(POSITION, column.alias(PREDICTED)).toArrow().sort_by(POSITION)
        return np.asarray(found[PREDICTED].to_pylist(), dtype=np.float64)

    def _require_equal(self, fitted: Any, inputs: Any, expected: Floats) -> None:
        found = fitted.predict_proba(inputs) if TASKS[self.task].predicts_classes else fitted.predict(inputs)
        if (apart := difference(np.asarray(found), expected)) > LIMIT:
            raise ReadOutDiffers(
                f"the model read out of Spark differs from Spark's own predictions by {apart:.3g} on "
                f"{len(expected)} rows; at most {LIMIT:g} is accepted"
            )


class LogisticRegressionLearner(SparkMlLearner):
    """Logistic regression on sparse rows; Spark standardises the columns itself."""

    is_sparse: ClassVar[bool] = True

    def _estimator(self) -> Any:
        from pyspark.ml.classification import LogisticRegression

        return LogisticRegression

    def _read(self, model: Any, session: "SparkSession") -> SparkLogistic:
        return SparkLogistic(
            np.ascontiguousarray(model.coefficientMatrix.toArray()), np.asarray(model.interceptVector.toArray())
        )


class TreesLearner(SparkMlLearner):
    """An ensemble of trees on dense rows."""

    ensemble: ClassVar[Ensemble]

    def _read(self, model: Any, session: "SparkSession") -> Any:
        from training.spark_ml.read_out import read_trees

        return read_trees(model, self.task, self.ensemble, session)


class RandomForestLearner(TreesLearner):
    """A random forest."""

    ensemble: ClassVar[Ensemble] = "forest"

    def _estimator(self) -> Any:
        from pyspark.ml.classification import RandomForestClassifier
        from pyspark.ml.regression import RandomForestRegressor

        return RandomForestClassifier if TASKS[self.task].predicts_classes else RandomForestRegressor


class GradientBoostingLearner(TreesLearner):
    """Gradient boosting of two classes or of numbers."""

    ensemble: ClassVar[Ensemble] = "boosting"

    def _estimator(self) -> Any:
        from pyspark.ml.classification import GBTClassifier
        from pyspark.ml.regression import GBTRegressor

        return GBTClassifier if TASKS[self.task].predicts_classes else GBTRegressor
