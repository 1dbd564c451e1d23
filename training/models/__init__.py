"""The model families, one file per group. To add a family, add its declaration and a line here."""

from collections.abc import Mapping

from training.models.baseline import BLEND, DUMMY, STACK
from training.models.boosted import CATBOOST, LIGHTGBM, XGBOOST
from training.models.family import Family
from training.models.forecasts import AUTO_ETS, AUTO_THETA, MFLES, NHITS, PATCH_TRANSFORMER, SEASONAL_NAIVE
from training.models.linear import ELASTIC_NET, LOGISTIC_REGRESSION, RIDGE
from training.models.neighbours import KNN
from training.models.networks import FT_TRANSFORMER, KERAS_MLP, MLP
from training.models.spark import (
    SPARK_GRADIENT_BOOSTING,
    SPARK_LOGISTIC_REGRESSION,
    SPARK_MLP,
    SPARK_RANDOM_FOREST,
    SPARK_XGBOOST,
)
from training.models.texts import FINE_TUNED_TRANSFORMER, TEXT_TRANSFORMER
from training.models.trees import EXTRA_TREES, GRADIENT_BOOSTING, RANDOM_FOREST

_DECLARED = (
    DUMMY,
    LOGISTIC_REGRESSION,
    RIDGE,
    ELASTIC_NET,
    KNN,
    SEASONAL_NAIVE,
    AUTO_ETS,
    AUTO_THETA,
    MFLES,
    RANDOM_FOREST,
    EXTRA_TREES,
    GRADIENT_BOOSTING,
    LIGHTGBM,
    XGBOOST,
    CATBOOST,
    MLP,
    FT_TRANSFORMER,
    KERAS_MLP,
    NHITS,
    PATCH_TRANSFORMER,
    TEXT_TRANSFORMER,
    FINE_TUNED_TRANSFORMER,
    SPARK_LOGISTIC_REGRESSION,
    SPARK_RANDOM_FOREST,
    SPARK_GRADIENT_BOOSTING,
    SPARK_XGBOOST,
    SPARK_MLP,
    STACK,
    BLEND,
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _DECLARED}
ON_SPARK = frozenset(name for name, family in FAMILIES.items() if family.fits_on != "process")
SEARCHED = tuple(name for name, family in FAMILIES.items() if family.searched)
