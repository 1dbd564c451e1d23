"""Shapley values, permutation importance and hyperparameter importance, on models with known results."""

from datetime import timedelta
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lakehouse.arrays import Floats
from scoring.encodings import FeatureColumns
from training.evaluation.weighted_metrics import ScoredRows
from training.report.hyperparameters import StudiedDimension, hyperparameter_importance, scored_trials
from training.report.importance import FoldSample, permutation_importance
from training.report.shapley import Contributions, contributions
from training.search.trial import Trial
from training.space.joint_space import Candidate
from training.space.space import Value

GROUPS = {"a": ("a",), "b": ("b1", "b2"), "c": ("c",), "d": ("d",)}
RANDOM = np.random.default_rng(4)


def columns(rows: int, seed: int) -> FeatureColumns:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=rows) for name in ("a", "b1", "b2", "c", "d")}


def linear(features: FeatureColumns) -> Floats:
    added = 3 * features["a"] - features["b1"] + 2 * features["b2"] + 0.5 * features["c"]
    return np.asarray(added[:, None], dtype=np.float64)


def pairwise(features: FeatureColumns) -> Floats:
    joint = features["a"] * features["c"] + features["b1"] * np.sin(features["d"])
    return np.asarray(linear(features) + joint[:, None], dtype=np.float64)


def triple(features: FeatureColumns) -> Floats:
    joint = features["a"] * features["b2"] * features["d"]
    return np.asarray(pairwise(features) + joint[:, None], dtype=np.float64)


def explain(model: object, explained: FeatureColumns, background: FeatureColumns, seed: int = 0) -> Contributions:
    return contributions(model, explained, background, GROUPS, random=np.random.default_rng(seed), seconds=60)  # type: ignore[arg-type]


def by_definition(model: object, explained: FeatureColumns, background: FeatureColumns, row: int) -> list[float]:
    """Shapley values by definition: the mean marginal contribution over all coalitions."""
    names, count = list(GROUPS), len(GROUPS)

    def coalition_value(known: frozenset[str]) -> float:
        mixed = {
            column: np.full(len(background["a"]), explained[column][row]) if group in known else background[column]
            for group, members in GROUPS.items()
            for column in members
        }
        return float(model(mixed).mean())  # type: ignore[operator]

    found = []
    for name in names:
        others = [other for other in names if other != name]
        value = 0.0
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                value += weight * (coalition_value(frozenset({*chosen, name})) - coalition_value(frozenset(chosen)))
        found.append(value)
    return found


def test_shapley_values_of_a_linear_model() -> None:
    explained, background = columns(5, 1), columns(7, 2)
    found = explain(linear, explained, background)
    moved = {name: explained[name] - background[name].mean() for name in background}
    expected = [3 * moved["a"], 2 * moved["b2"] - moved["b1"], 0.5 * moved["c"], 0 * moved["d"]]
    assert found.values[:, :, 0] == pytest.approx(np.stack(expected, axis=1))
    assert found.columns == ("a", "b", "c", "d")


def test_shapley_values_are_exact_for_pairwise_interactions() -> None:
    explained, background = columns(3, 1), columns(6, 2)
    found = explain(pairwise, explained, background)
    for row in range(3):
        assert found.values[row, :, 0] == pytest.approx(by_definition(pairwise, explained, background, row))


def test_shapley_values_approximate_triple_interactions_and_sum_to_the_prediction() -> None:
    explained, background = columns(6, 1), columns(40, 2)
    found = explain(triple, explained, background)
    assert found.values.sum(axis=1) == pytest.approx(triple(explained) - found.base)
    expected = [by_definition(triple, explained, background, row) for row in range(6)]
    assert found.values[:, :, 0] == pytest.approx(np.array(expected), abs=0.35)


def test_time_limit_bounds_the_explained_rows() -> None:
    explained, background = columns(50, 1), columns(4, 2)
    cut = contributions(linear, explained, background, GROUPS, random=RANDOM, seconds=0)
    assert cut.explained == len(cut.values) < 50
    assert cut.values == pytest.approx(explain(linear, explained, background).values[: cut.explained])


def test_mean_size_averages_rows_and_outputs() -> None:
    values = np.array([[[1.0, -3.0], [0.0, 0.0]], [[-1.0, 3.0], [0.0, 4.0]]])
    assert Contributions(("a", "b"), values, np.zeros(2), 2).mean_size() == {"a": 2.0, "b": 1.0}


def fold_sample(rows: int, seed: int) -> FoldSample:
    features = columns(rows, seed)

    def model(features_: FeatureColumns) -> Floats:
        return np.asarray(1 / (1 + np.exp(-2 * features_["a"] - features_["b1"] * np.sign(features_["b2"]))))

    labels = (np.random.default_rng(seed).random(rows) < model(features)).astype(np.int64)
    return FoldSample(model, features, ScoredRows(labels, model(features), 0.5))


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_only_inputs_that_the_model_uses_are_important(metric: str) -> None:
    folds = [fold_sample(500, seed) for seed in (1, 2)]
    found = permutation_importance(metric, folds, GROUPS, np.random.default_rng(0), seconds=60)
    by_input = {each.column: each for each in found.inputs}
    assert [each.column for each in found.inputs] == ["a", "b", "c", "d"]
    assert by_input["a"].mean > 0.02 < by_input["b"].mean
    assert by_input["c"].mean == by_input["d"].mean == 0
    assert by_input["a"].low <= by_input["a"].mean <= by_input["a"].high
    assert (found.rows, found.rounds) == (1000, 5)


def test_columns_of_one_input_are_shuffled_together() -> None:
    # The model uses only the sign of the product of b1 and b2, which separate shuffling would lose.
    fold = fold_sample(400, 3)
    seen: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []

    def spy(features_: FeatureColumns) -> Floats:
        seen.append((features_["b1"], features_["b2"]))
        return fold.model(features_)

    permutation_importance("roc_auc", [FoldSample(spy, fold.features, fold.rows)], {"b": ("b1", "b2")}, RANDOM, 0)
    pairs = set(zip(fold.features["b1"].tolist(), fold.features["b2"].tolist(), strict=True))
    assert set(zip(seen[0][0].tolist(), seen[0][1].tolist(), strict=True)) == pairs
    assert not np.array_equal(seen[0][0], fold.features["b1"])


def test_time_limit_bounds_the_rounds() -> None:
    assert permutation_importance("roc_auc", [fold_sample(50, 1)], GROUPS, RANDOM, seconds=0).rounds == 1


def trial(number: int, params: dict[str, Value], value: float) -> Trial:
    return Trial(number, Candidate("knn", params), {"roc_auc": value}, ({"roc_auc": value},), timedelta(0))


def test_the_decisive_hyperparameter_explains_most_variance() -> None:
    random = np.random.default_rng(0)
    trials = [
        trial(
            number,
            {"width": float(width), "kind": kind, "noise": float(noise), "fixed": 1},
            np.log10(width) + 0.1 * noise,
        )
        for number, (width, kind, noise) in enumerate(
            zip(10 ** random.uniform(-3, 1, 60), random.choice(["a", "b"], 60), random.random(60), strict=True)
        )
    ]
    found = hyperparameter_importance(trials, "roc_auc", 0)
    assert found is not None
    assert next(iter(found.shares)) == "width"
    assert found.shares["width"] > 0.8
    assert found.shares["kind"] < 0.05
    assert "fixed" not in found.shares
    assert found.fit > 0.8
    assert sum(found.shares.values()) <= 1


@pytest.mark.parametrize("inputs", [1, 2, 5])
def test_shares_of_hyperparameters_add_up_to_one(inputs: int) -> None:
    """The metric is a sum of effects, so that hardly anything is left to several together."""
    draw = np.random.default_rng(inputs)
    points = draw.uniform(size=(200, inputs))
    trials = [
        trial(number, {f"h{i}": float(value) for i, value in enumerate(point)}, 0.5 + 0.1 * float(point.sum()))
        for number, point in enumerate(points)
    ]
    found = hyperparameter_importance(trials, "roc_auc", 0)
    assert found is not None
    assert sum(found.shares.values()) <= 1 + 1e-12
    assert found.joint < 0.15
    shown, joint = found.displayed()
    assert round(sum(shown.values()) + joint, 9) == 1
    assert all(abs(shown[name] - share) <= 0.001 for name, share in found.shares.items())


def test_a_hyperparameter_of_some_trials_is_included() -> None:
    trials = [
        trial(
            number,
            {"kind": "a", "depth": number} if number % 2 else {"kind": "b"},
            number / 20 if number % 2 else 0.1,
        )
        for number in range(40)
    ]
    found = hyperparameter_importance(trials, "roc_auc", 0)
    assert found is not None
    assert set(found.shares) == {"kind", "depth"}
    assert found.shares["depth"] > 0.2


def test_few_or_equal_trials_have_no_importance() -> None:
    same = [trial(number, {"width": float(number)}, 0.5) for number in range(30)]
    few = [trial(number, {"width": float(number)}, float(number)) for number in range(5)]
    assert hyperparameter_importance(same, "roc_auc", 0) is None
    assert hyperparameter_importance(few, "roc_auc", 0) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.001, 0.1, 10.0], StudiedDimension("x", True, (), -3.0, 1.0)),
        ([1, 2, 3], StudiedDimension("x", False, (), 1.0, 3.0)),
        ([None, 30, 480, 60], StudiedDimension("x", False, ("None", "30", "60", "480"), 0, 3)),
        (["l2", "l1"], StudiedDimension("x", False, ("l1", "l2"), 0, 1)),
    ],
)
def test_values_become_logarithms_numbers_or_indices(values: list[Value], expected: StudiedDimension) -> None:
    assert StudiedDimension.of("x", values) == expected


def test_a_stopped_trial_keeps_its_distance_to_the_median() -> None:
    """The medians of the three finished trials are 0.6 after one fold and 0.65 after both."""
    folds = [
        ({"roc_auc": 0.5}, {"roc_auc": 0.6}),
        ({"roc_auc": 0.6}, {"roc_auc": 0.7}),
        ({"roc_auc": 0.8}, {"roc_auc": 0.6}),
    ]
    means = [{"roc_auc": 0.55}, {"roc_auc": 0.65}, {"roc_auc": 0.7}]
    candidate = Candidate("lightgbm", {})
    ended = [Trial(number, candidate, means[number], folds[number], timedelta(0)) for number in range(3)]
    failed = Trial(8, candidate, {}, (), timedelta(0), error="no")
    pruned = Trial(9, candidate, {}, ({"roc_auc": 0.52},), timedelta(0), "behind", "pruned")
    no_number = Trial(10, candidate, {}, ({"roc_auc": float("nan")},), timedelta(0), "no number", "pruned")
    found = scored_trials([*ended, failed, pruned, no_number], "roc_auc")
    assert found[:3] == ended
    assert [each.number for each in found[3:]] == [9]
    assert found[3].metrics["roc_auc"] == pytest.approx(0.65 - 0.08)
