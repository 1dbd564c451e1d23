"""Models read out of Spark ML, without a JVM: its description of trees, and the compiled form of what was read."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from lakehouse.arrays import MatrixFormat
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.estimators.spark_linear import SparkLogistic
from scoring.estimators.spark_trees import LEAF, Ensemble, SparkTrees
from scoring.scorer import ResponseFormat, Scorer
from tests.unit.points import rows_of
from training.models.family import DataFacts
from training.models.target_encoding import target_encoder
from training.registry.compilation import compile_scorer
from training.search.spark_fitting import fit_target_means
from training.spark_ml.read_out import read_trees

# As Spark 4.2 writes it: every double with all of its digits.
TREES = """GBTRegressionModel: uid=gbtr_1, numTrees=3, numFeatures=4
  Tree 0 (weight 1.0):
    If (feature 0 <= 0.30000000000000004)
     If (feature 1 <= 1.5)
      Predict: -1.0E-5
     Else (feature 1 > 1.5)
      Predict: 0.6664887489690667
    Else (feature 0 > 0.30000000000000004)
     If (feature 2 <= 4.5)
      Predict: 2.25
     Else (feature 2 > 4.5)
      Predict: 3.0
  Tree 1 (weight 0.1):
    Predict: 0.7
  Tree 2 (weight 0.1):
    If (feature 0 <= 0.1)
     Predict: -0.3
    Else (feature 0 > 0.1)
     Predict: 0.9
"""
BY_CATEGORY = TREES.replace("feature 2 <= 4.5", "feature 2 in {0.0,2.0}")


def read(task: str, ensemble: Ensemble, text: str = TREES) -> SparkTrees:
    return read_trees(SimpleNamespace(toDebugString=text), task, ensemble, session=None)  # type: ignore[arg-type]


def forest_of_classes(classes: int) -> SparkTrees:
    """The same trees with shares of classes in their leaves, as they are read from a Spark session."""
    trees = read("regression", "forest")
    shares = np.random.default_rng(0).dirichlet(np.ones(classes), len(trees.feature))
    shares[trees.feature != LEAF] = 0
    task = "binary" if classes == 2 else "multiclass"
    return SparkTrees(task, "forest", trees.roots, trees.feature, trees.threshold, trees.children, shares)


def test_trees_are_read_with_every_digit_and_every_weight() -> None:
    trees = read("regression", "boosting")
    assert trees.threshold[trees.roots[0]] == 0.1 + 0.2
    rows = np.asarray([[0.1 + 0.2, 1.5, 0, 0], [np.nextafter(0.3, 1), 2.0, 0, 0], [0.5, 0, 4.5, 0], [-1, 9, 9, 0]])
    first = np.asarray([-1.0e-5, 0.6664887489690667, 2.25, 0.6664887489690667])
    last = np.asarray([0.9, 0.9, 0.9, -0.3])
    assert trees.predict(rows).tolist() == ((first + 0.7 * 0.1) + last * 0.1).tolist()


def test_a_forest_of_numbers_is_the_mean_of_its_trees() -> None:
    assert read("regression", "forest").predict(np.asarray([[0.5, 0, 5, 0]])).tolist() == [(3.0 + 0.7 + 0.9) / 3]


def test_boosting_of_classes_doubles_the_sum_to_log_odds() -> None:
    predicted = read("binary", "boosting").predict_proba(np.asarray([[0.5, 0, 5, 0]]))
    assert predicted[0, 1] == pytest.approx(1 / (1 + np.exp(-2 * (3.0 + 0.07 + 0.09))), abs=1e-15)


def test_a_split_by_categories_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`If \(feature 2 in \{0\.0,2\.0\}\)`, which has no compiled form"):
        read("regression", "boosting", BY_CATEGORY)


def linear(task: str) -> SparkLogistic:
    draw = np.random.default_rng(2)
    outputs = 1 if task == "binary" else 3
    return SparkLogistic(draw.normal(size=(outputs, 7)), draw.normal(size=outputs))


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("binary", forest_of_classes(2)),
        ("multiclass", forest_of_classes(3)),
        ("regression", read("regression", "forest")),
        ("binary", read("binary", "boosting")),
        ("regression", read("regression", "boosting")),
        ("binary", linear("binary")),
        ("multiclass", linear("multiclass")),
    ],
    ids=[
        "forest",
        "forest of 3 classes",
        "forest of numbers",
        "boosting",
        "boosting of numbers",
        "logistic",
        "softmax",
    ],
)
def test_the_compiled_form_equals_the_read_model_and_both_survive_saving(
    tmp_path: Path, task: str, model: Any
) -> None:
    rows = rows_of(task, 300)
    response_format = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    matrix_format: MatrixFormat = "sparse" if hasattr(model, "coef_") else "dense"
    scorer = Scorer(Pipeline([("model", model)]), rows.encoder, response_format, matrix_format=matrix_format)
    compilation = compile_scorer(scorer, rows.features)
    assert (compilation.reason, compilation.difference) == ("", 0)
    assert compilation.probes > 10 or matrix_format == "sparse"
    expected = scorer.predict(rows.features)
    assert np.ptp(expected) > 0
    for saved in (scorer, compilation.applied_to(scorer)):
        folder = tmp_path / saved.compiled.kind if saved.compiled else tmp_path / "pipeline"
        folder.mkdir()
        np.testing.assert_array_equal(Scorer.load(saved.save(folder)).predict(rows.features), expected)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_target_means_of_one_column_equal_those_of_all_columns(task: str) -> None:
    words = ("", *(f"place {number}" for number in range(1, 20)))
    encodings = [
        {"column": "amount", "as": "number", "type": "double"},
        {"column": "place", "as": "category_index", "index": "gold.place_index"},
    ]
    encoder = Encoder(ENCODINGS.validate_python(encodings), {"gold.place_index": words}, ("place_index", "amount"))
    plain = rows_of(task)
    places = np.random.default_rng(0).integers(0, 25, len(plain))  # the last five are newer than the vocabulary
    features = {"amount": plain.features["amount"], "place_index": places}
    frame = replace(plain, encoder=encoder, features=features)
    facts = DataFacts(frame.task, len(frame.classes), encoder.categories())
    whole, ours = (target_encoder(facts, 3, above=8)[0] for _ in range(2))
    inputs = frame.inputs("dense")
    expected = whole.fit_transform(inputs, frame.y)
    assert np.array_equal(fit_target_means(ours, frame, [0]), expected[:, :-1])
    assert np.array_equal(ours.transform(inputs), whole.transform(inputs))
