"""Gradient boosting by XGBoost, with native categories."""

from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import EarlyStoppingBooster, WeightedRows
from scoring.tasks import TASKS


class XgBoost(EarlyStoppingBooster):
    """XGBoost on dense rows with one thread.

    Attributes:
        options: options of the library, and `class_weight`. The library supports that for two classes only, so row
            weights replace it.
    """

    library = "xgboost"

    def _fit(self, rows: WeightedRows) -> None:
        super()._fit(rows.balanced() if self.options.get("class_weight") else rows)

    def _fitted(self, rows: WeightedRows, rounds: int, validation: WeightedRows | None) -> Any:
        import xgboost

        kind = xgboost.XGBClassifier if TASKS[self.task].predicts_classes else xgboost.XGBRegressor
        options = {name: value for name, value in self.options.items() if name != "class_weight"}
        types = ["c" if column in self.categorical else "q" for column in range(rows.x.shape[1])]
        model = kind(
            n_estimators=rounds, random_state=self.seed, n_jobs=1, tree_method="hist", feature_types=types,
            enable_categorical=True, early_stopping_rounds=self.patience if validation else None,
            callbacks=self._callbacks(), **options,
        )  # fmt: skip
        evaluation = {}
        if validation is not None:
            weights = None if validation.weights is None else [validation.weights]
            evaluation = {
                "eval_set": [(validation.x, validation.y)],
                "sample_weight_eval_set": weights,
                "verbose": False,
            }
        return model.fit(rows.x, rows.y, sample_weight=rows.weights, **evaluation)

    def _callbacks(self) -> list[Any] | None:
        if self.deadline is None:
            return None
        from xgboost.callback import TrainingCallback

        booster = self

        class Deadline(TrainingCallback):
            def after_iteration(self, *_: Any) -> bool:
                booster.require_time()
                return False

        return [Deadline()]

    def _best_rounds(self, model: Any) -> int:
        return int(model.best_iteration) + 1

    def _prepared(self, x: Floats) -> Floats:
        return np.asarray(x)

    def saved(self) -> bytes:
        """The library's model in its own format."""
        return bytes(self.model_.get_booster().save_raw("ubj"))

    def _error(self) -> type[Exception]:
        from xgboost.core import XGBoostError

        return XGBoostError
