"""Gradient boosting by LightGBM, with native categories."""

from typing import Any

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import EarlyStoppingBooster, WeightedRows
from scoring.tasks import TASKS


class LightGbm(EarlyStoppingBooster):
    """LightGBM on dense rows with one thread and reproducible trees."""

    library = "lightgbm"

    def _fitted(self, rows: WeightedRows, rounds: int, validation: WeightedRows | None) -> Any:
        import lightgbm

        kind = lightgbm.LGBMClassifier if TASKS[self.task].predicts_classes else lightgbm.LGBMRegressor
        model = kind(
            n_estimators=rounds, random_state=self.seed, n_jobs=1, verbosity=-1, deterministic=True,
            force_row_wise=True, **self.options,
        )  # fmt: skip
        options: dict[str, Any] = {"sample_weight": rows.weights, "categorical_feature": list(self.categorical)}
        callbacks: list[Any] = [] if self.deadline is None else [lambda _: self.require_time()]
        if validation is not None:
            options |= {
                "eval_X": validation.x,
                "eval_y": validation.y,
                "eval_sample_weight": None if validation.weights is None else [validation.weights],
            }
            callbacks.append(lightgbm.early_stopping(self.patience, verbose=False))
        return model.fit(rows.x, rows.y, callbacks=callbacks or None, **options)

    def _best_rounds(self, model: Any) -> int:
        return int(model.best_iteration_)

    def _prepared(self, x: Floats) -> Floats:
        return x

    def _error(self) -> type[Exception]:
        from lightgbm.basic import LightGBMError

        return LightGBMError
