"""Gradient boosting by LightGBM, which takes categories as they are."""

from typing import Any

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import PATIENCE, EarlyStoppingBooster, WeightedRows


class LightGbm(EarlyStoppingBooster):
    """LightGBM on dense rows, one thread, the same trees each time."""

    library = "lightgbm"

    def _fitted(self, rows: WeightedRows, rounds: int, judges: WeightedRows | None) -> Any:
        import lightgbm

        kind = lightgbm.LGBMRegressor if self.task == "regression" else lightgbm.LGBMClassifier
        model = kind(
            n_estimators=rounds, random_state=self.seed, n_jobs=1, verbosity=-1, deterministic=True,
            force_row_wise=True, **self.options,
        )  # fmt: skip
        options: dict[str, Any] = {"sample_weight": rows.weights, "categorical_feature": list(self.categorical)}
        if judges is not None:
            options |= {
                "eval_X": judges.x,
                "eval_y": judges.y,
                "eval_sample_weight": None if judges.weights is None else [judges.weights],
                "callbacks": [lightgbm.early_stopping(PATIENCE, verbose=False)],
            }
        return model.fit(rows.x, rows.y, **options)

    def _rounds_of(self, model: Any) -> int:
        return int(model.best_iteration_)

    def _prepared(self, x: Floats) -> Floats:
        return x

    def _error(self) -> type[Exception]:
        from lightgbm.basic import LightGBMError

        return LightGBMError
