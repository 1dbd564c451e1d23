"""Gradient boosting by XGBoost, which takes categories as they are."""

from typing import Any

import numpy as np

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import PATIENCE, EarlyStoppingBooster, WeightedRows


class XgBoost(EarlyStoppingBooster):
    """XGBoost on dense rows, one thread.

    Attributes:
        options: as the library takes them, and `class_weight`, which it knows for two classes alone: rows carry it.
    """

    library = "xgboost"

    def _fit(self, rows: WeightedRows) -> None:
        super()._fit(rows.balanced() if self.options.get("class_weight") else rows)

    def _fitted(self, rows: WeightedRows, rounds: int, judges: WeightedRows | None) -> Any:
        import xgboost

        kind = xgboost.XGBRegressor if self.task == "regression" else xgboost.XGBClassifier
        options = {name: value for name, value in self.options.items() if name != "class_weight"}
        types = ["c" if place in self.categorical else "q" for place in range(rows.x.shape[1])]
        model = kind(
            n_estimators=rounds, random_state=self.seed, n_jobs=1, tree_method="hist", feature_types=types,
            enable_categorical=True, early_stopping_rounds=PATIENCE if judges else None, **options,
        )  # fmt: skip
        judged = {}
        if judges is not None:
            weights = None if judges.weights is None else [judges.weights]
            judged = {"eval_set": [(judges.x, judges.y)], "sample_weight_eval_set": weights, "verbose": False}
        return model.fit(rows.x, rows.y, sample_weight=rows.weights, **judged)

    def _rounds_of(self, model: Any) -> int:
        return int(model.best_iteration) + 1

    def _prepared(self, x: Floats) -> Floats:
        return np.asarray(x)

    def saved(self) -> bytes:
        """The library's model in its own format."""
        return bytes(self.model_.get_booster().save_raw("ubj"))

    def _error(self) -> type[Exception]:
        from xgboost.core import XGBoostError

        return XGBoostError
