"""The model families, one file per group. Adding a family is adding its declaration and a line here."""

from collections.abc import Mapping

from training.models.family import Family
from training.models.linear import LOGISTIC_REGRESSION
from training.models.neighbours import KNN

FAMILIES: Mapping[str, Family] = {family.name: family for family in (LOGISTIC_REGRESSION, KNN)}
