"""Gradient boosting by CatBoost, which computes target statistics of categories from earlier rows."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

import pandas as pd

from lakehouse.arrays import Floats
from scoring.estimators.early_stopping import EarlyStoppingBooster, WeightedRows
from scoring.tasks import TASKS

_MODEL = "model_"
PROBED_ROUNDS = 10  # fitted to see the pace of a fit that has a deadline
# Borders of a number that are candidates for a split, and the rows below which there are fewer of them: to compare
# them is then most of the time. On 398 rows of 30 numbers a trial took 9.1 s in place of 24.2 s, and 2.8 s in place
# of 9.4 s, with the same ROC AUC on the folds to 0.001.
BORDERS, BORDERS_OF_FEW_ROWS, FEW_ROWS = 254, 64, 2000
SLOWER = 2  # rounds with validation rows may take so many times as long as those


class CatBoost(EarlyStoppingBooster):
    """CatBoost on dense rows with one thread, saved in CatBoost's own format."""

    library = "catboost"

    def _fitted(self, rows: WeightedRows, rounds: int, validation: WeightedRows | None) -> Any:
        from catboost import Pool

        def pool(selected: WeightedRows) -> Any:
            return Pool(
                self._prepared(selected.x), selected.y, weight=selected.weights, cat_features=list(self.categorical)
            )

        options = {
            "iterations": rounds, "random_seed": self.seed, "thread_count": 1, "allow_writing_files": False,
            "border_count": BORDERS_OF_FEW_ROWS if len(rows.y) < FEW_ROWS else BORDERS,
            "leaf_estimation_iterations": 1,  # instead of ten: 0.6 of the time, and no worse on the folds
            **self.options,
        }  # fmt: skip
        training = pool(rows)
        early_stopping = (
            {} if validation is None else {"eval_set": pool(validation), "early_stopping_rounds": self.patience}
        )
        if self._may_be_late(training, options):
            early_stopping["callbacks"] = [self]
        fitted = self._empty(**options).fit(training, verbose=False, **early_stopping)
        self.require_time()
        return fitted

    def _may_be_late(self, training: Any, options: Mapping[str, Any]) -> bool:
        """True if a fit with these options may end after the deadline, at the pace of a few.

        Only such a fit asks for the time after each round: CatBoost then copies the metrics of all rounds so far. On
        89 rows, 3,000 rounds took 3.6 s without that and 11.4 s with it.
        """
        if self.deadline is None:
            return False
        rounds = int(options["iterations"])
        start, few = monotonic(), min(PROBED_ROUNDS, rounds)
        self._empty(**{**options, "iterations": few}).fit(training, verbose=False)
        seconds = (monotonic() - start) / few * rounds * SLOWER
        return monotonic() + seconds > self.deadline

    def after_iteration(self, _: Any) -> bool:
        """The callback of the library after a boosting round: False ends the fit, for it ignores exceptions."""
        return not self.is_late

    def _empty(self, **options: Any) -> Any:
        from catboost import CatBoostClassifier, CatBoostRegressor

        return (CatBoostClassifier if TASKS[self.task].predicts_classes else CatBoostRegressor)(**options)

    def _best_rounds(self, model: Any) -> int:
        return int(model.get_best_iteration() or 0) + 1

    def _prepared(self, x: Floats) -> pd.DataFrame:
        # CatBoost requires integers or strings as categories, and only a frame has columns of several types.
        return pd.DataFrame(x).astype(dict.fromkeys(self.categorical, "int64"))

    def _error(self) -> type[Exception]:
        from catboost import CatBoostError

        error: type[Exception] = CatBoostError
        return error

    def saved(self) -> bytes:
        """The fitted model in CatBoost's own format."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.cbm"
            self.model_.save_model(str(path))
            return path.read_bytes()

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if _MODEL in state:
            state[_MODEL] = self.saved()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        blob = state.pop(_MODEL, None)
        super().__setstate__(state)
        if blob is not None:
            self.model_ = self._empty().load_model(blob=bytes(blob))
