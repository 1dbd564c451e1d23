"""Gradient boosting by LightGBM, which takes categories as they are."""

from typing import Any

from sklearn.pipeline import Pipeline

from training.models.family import ALL_TASKS, CLASS_WEIGHT, RECENCY, Family, Given
from training.models.rounds import PATIENCE, BoostedByRounds, Floats, Rows
from training.search.space import Float, Int, Params

ROUNDS = 300


class LightGbm(BoostedByRounds):
    """LightGBM on dense rows, one thread, the same trees each time."""

    library = "lightgbm"

    def _fitted(self, rows: Rows, rounds: int, judges: Rows | None) -> Any:
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


def _lightgbm(params: Params, seed: int, given: Given) -> Pipeline:
    options = {
        name: params[name]
        for name in ("learning_rate", "num_leaves", "min_child_samples", "reg_lambda", "colsample_bytree")
    }
    subsample = {"subsample": params["subsample"], "subsample_freq": 1}
    weights = {"class_weight": params["class_weight"]} if given.task != "regression" else {}
    categorical = tuple(given.categories)
    return Pipeline([("model", LightGbm(given.task, ROUNDS, {**options, **subsample, **weights}, categorical, seed))])


LIGHTGBM = Family(
    name="lightgbm",
    title="LightGBM",
    space={
        "learning_rate": Float(0.02, 0.2, log=True),
        "num_leaves": Int(3, 63, log=True),
        "min_child_samples": Int(20, 1000, log=True),
        "reg_lambda": Float(0.1, 100, log=True),
        "colsample_bytree": Float(0.3, 1),
        "subsample": Float(0.5, 1),
        "class_weight": CLASS_WEIGHT,
        "recency_half_life_days": RECENCY,
    },
    build=_lightgbm,
    tasks=ALL_TASKS,
    takes="dense",
    takes_weights=True,
    cost=4,
)
