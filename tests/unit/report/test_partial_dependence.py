"""Partial dependence: the mean prediction with one value of an input for all rows."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from lakehouse.arrays import Floats
from training.report.input_values import Reading
from training.report.partial_dependence import GRID, MOST_CATEGORIES, partial_dependence

RANDOM = np.random.default_rng(5)
Features = Mapping[str, Any]


def column(name: str) -> Callable[[Features], Floats]:
    """A model that predicts one feature column."""
    return lambda features: np.asarray(features[name], dtype=np.float64)


X, Z = RANDOM.normal(size=2000), RANDOM.normal(size=2000)
FEATURES = {"x": X, "z": Z}


def reading_of(values: Floats) -> Reading:
    return Reading([f"{value:.3f}" for value in values], values.astype(np.float64))


def rows(count: int) -> Mapping[str, Any]:
    return {name: values[:count] for name, values in FEATURES.items()}


def test_the_curve_of_an_additive_model_is_its_part_of_the_input() -> None:
    curve = partial_dependence(
        lambda f: column("x")(f) * 2 + column("z")(f), rows(200), FEATURES, reading_of(X), ["x"]
    )
    assert curve.levels is not None
    assert len(curve.texts) <= GRID
    expected = 2 * curve.levels + Z[:200].mean()
    assert curve.means[:, 0] == pytest.approx(expected)
    assert curve.shares.sum() == pytest.approx(1.0)


def test_the_curve_reaches_rare_values_and_ends_before_outliers() -> None:
    skewed = np.exp(2 * X)
    curve = partial_dependence(column("x"), {"x": skewed[:50]}, {"x": skewed}, reading_of(skewed), ["x"])
    assert curve.levels is not None
    assert curve.levels.max() <= np.quantile(skewed, 0.99)
    assert curve.levels.max() > np.quantile(skewed, 0.98)


def test_all_columns_of_an_input_come_from_one_row() -> None:
    flag = (X > 0).astype(np.float64)
    features = {"x": X, "is_positive": flag}
    seen: list[Any] = []

    def model(given: Mapping[str, Any]) -> Floats:
        seen.append((given["x"] > 0) == (given["is_positive"] == 1))
        return column("x")(given)

    some = {name: each[:20] for name, each in features.items()}
    partial_dependence(model, some, features, reading_of(X), [*features])
    assert seen[0].all()


def test_few_values_are_points_in_their_order_and_categories_by_frequency() -> None:
    grades = np.repeat([1.0, 2.0, 3.0], [10, 80, 10])
    ordered = partial_dependence(column("g"), {"g": grades}, {"g": grades}, reading_of(grades), ["g"])
    assert ordered.levels is None
    assert ordered.texts == ("1.000", "2.000", "3.000")
    assert ordered.shares.tolist() == [0.1, 0.8, 0.1]
    names = Reading([f"c{int(value)}" for value in grades], None)
    by_frequency = partial_dependence(column("g"), {"g": grades}, {"g": grades}, names, ["g"])
    assert by_frequency.texts[0] == "c2"


def test_of_many_categories_the_most_frequent_have_a_point() -> None:
    codes = np.concatenate([np.full(50, 7.0), np.arange(200.0)])
    names = Reading([f"c{int(value)}" for value in codes], None)
    curve = partial_dependence(column("c"), {"c": codes}, {"c": codes}, names, ["c"])
    assert len(curve.texts) == MOST_CATEGORIES
    assert curve.texts[0] == "c7"
    assert curve.shares.sum() < 1.0


def test_each_class_has_a_mean() -> None:
    def model(given: Features) -> Floats:
        return np.stack([column("x")(given), -column("x")(given), column("z")(given)], axis=1)

    curve = partial_dependence(model, rows(30), FEATURES, reading_of(X), ["x"])
    assert curve.means.shape == (len(curve.texts), 3)
    assert curve.means[:, 0] == pytest.approx(-curve.means[:, 1])
