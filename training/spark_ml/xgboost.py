"""XGBoost on the executors of a classic session; the booster is the library's own, as of the family `xgboost`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lakehouse.errors import first_line
from scoring.estimators.early_stopping import PATIENCE
from scoring.estimators.xgboost import XgBoost
from scoring.tasks import TASKS
from training.spark_ml.column_names import FEATURES, LABEL, POSITION, VALIDATION, WEIGHT
from training.spark_ml.rows import RowsToFit, in_order, uploaded
from training.spark_ml.sessions import session_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS_PER_WORKER = 500  # at least


@dataclass(frozen=True)
class SparkXgBoostLearner:
    """XGBoost with early stopping, as `scoring.estimators.early_stopping` does it on one machine.

    Attributes:
        task: name of the task.
        rounds: upper limit of the boosting rounds.
        options: further options of the library.
        categorical: columns that are category indices.
    """

    task: str
    rounds: int
    options: Mapping[str, Any]
    categorical: tuple[int, ...]
    seed: int

    def fit(self, data: RowsToFit) -> XgBoost:
        """Find the boosting rounds on the validation rows, then fit on all rows; each worker has a part of them.

        Raises:
            ValueError: XGBoost cannot learn from these rows.
        """
        labels, validation = data.columns[LABEL], data.columns[VALIDATION]
        classes = len(np.unique(labels)) if TASKS[self.task].predicts_classes else 0
        types = ["c" if column in self.categorical else "q" for column in range(len(data.features))]
        with session_of(data.rows.source.master) as session:
            workers = max(1, min(session.sparkContext.defaultParallelism, len(labels) // ROWS_PER_WORKER))
            rows, rounds = in_order(self._rows(data, session), len(labels), workers), self.rounds
            if not classes or len(np.unique(labels[~validation])) == classes:  # else a class would be missing
                stopping = {"validation_indicator_col": VALIDATION, "early_stopping_rounds": PATIENCE}
                rounds = self._fitted(rows, workers, types, rounds, stopping).best_iteration + 1
            booster = bytes(self._fitted(rows, workers, types, rounds, {}).save_raw("ubj"))
        return self._without_spark(booster, types, rounds, classes)

    def _rows(self, data: RowsToFit, session: "SparkSession") -> "DataFrame":
        """The rows on the classic session: there already, or sent from here if the tables are on another engine."""
        if data.rows.source.is_sent:
            return uploaded(session, {POSITION: data.rows.positions, FEATURES: data.inputs, **data.columns})
        return data.dense()

    def _fitted(
        self, rows: "DataFrame", workers: int, types: list[str], rounds: int, stopping: Mapping[str, Any]
    ) -> Any:
        from pyspark.errors import PySparkException
        from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

        kind = SparkXGBClassifier if TASKS[self.task].predicts_classes else SparkXGBRegressor
        logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)
        try:
            model = kind(
                features_col=FEATURES, label_col=LABEL, weight_col=WEIGHT, n_estimators=rounds, tree_method="hist",
                num_workers=workers, feature_types=types, random_state=self.seed, verbose=False,
                **self.options, **stopping,
            ).fit(rows)  # fmt: skip
        except PySparkException as err:
            raise ValueError(f"XGBoost cannot fit this candidate on Spark: {first_line(err)}") from err
        return model.get_booster()

    def _without_spark(self, booster: bytes, types: list[str], rounds: int, classes: int) -> XgBoost:
        """The booster as an estimator of the family `xgboost`."""
        import xgboost

        kind = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
        model = kind(n_jobs=1, feature_types=types, enable_categorical=True)
        model.load_model(bytearray(booster))
        fitted = XgBoost(self.task, self.rounds, dict(self.options), self.categorical, self.seed)
        fitted.classes_, fitted.rounds_, fitted.model_ = np.arange(classes), rounds, model
        return fitted
