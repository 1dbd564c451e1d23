"""The file of a fitted pipeline, read without pickle: only trusted types are loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakehouse.errors import LakehouseError

# Types that our families add to those that skops trusts by default. A file with any other type is refused; for a
# function with arguments (`functools.partial`) the list holds the function too. Libraries read their own boosters.
TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "functools.partial",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.arcsinh",
        "numpy.dtype",  # of an imputer
        "numpy.ufunc",
        "scipy.sparse._csr.csr_matrix",  # training rows of k-NN that are too many to be dense
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.tree._tree.Tree",
        "sklearn.utils.validation.check_array",
        "scoring.estimators.blend.Blend",
        "scoring.estimators.calibrated.Calibrated",
        "scoring.estimators.catboost.CatBoost",
        "scoring.estimators.dense_if_small.DenseIfSmall",
        "scoring.estimators.column_subset.ColumnSubset",
        "scoring.forecasts.column_forecast.ColumnForecast",
        "scoring.forecasts.forecaster.Forecaster",
        "scoring.forecasts.seasonal_naive.SeasonalNaive",
        "scoring.estimators.lightgbm.LightGbm",
        "scoring.estimators.network.Network",
        "scoring.estimators.spark_linear.SparkLogistic",
        "scoring.estimators.stack.Stack",
        "scoring.estimators.spark_trees.SparkTrees",
        "scoring.estimators.xgboost.XgBoost",
        "scoring.texts.term_weights.TermWeights",
        "scoring.texts.token_rows.TokenRows",
        "scoring.estimators.neighbour_weights.inverse_distance",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)


class ArtifactRefused(LakehouseError):
    """A model file holds types that no model family writes."""

    @classmethod
    def untrusted(cls, path: Path, types: Sequence[str]) -> "ArtifactRefused":
        return cls(
            f"{path} holds types that are not trusted: {', '.join(types)}",
            hint="Train the version again. For types of a new family, add them to scoring.pipeline_file.TRUSTED.",
        )


def load_pipeline(path: Path) -> Any:
    """Read a fitted pipeline.

    Raises:
        ArtifactRefused: the file holds types that are not trusted.
    """
    import skops.io  # it imports scikit-learn, which a compiled model does not need

    types = skops.io.get_untrusted_types(file=path)
    if untrusted := sorted(set(types) - TRUSTED):
        raise ArtifactRefused.untrusted(path, untrusted)
    return skops.io.load(path, trusted=types)
