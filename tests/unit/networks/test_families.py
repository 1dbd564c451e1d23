"""Each family of networks: it learns, repeats itself bit by bit, and is served as the graph that its trials had."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakehouse.arrays import Floats
from scoring.estimators.network import Network
from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import BINARY
from tests.unit.networks.points import NETWORKS, require
from tests.unit.points import POINTS, rows_of
from tests.unit.scoring.test_one_record_one_answer import ENCODER, columns_of, frame_of, record_of
from training.evaluation.metrics import METRICS
from training.frame.frame import TrainingFrame
from training.models import FAMILIES
from training.models.family import DataFacts
from training.registry.compilation import Compilation, compile_scorer
from training.registry.signature import requirements
from training.search.ensemble_candidates import blend_candidate
from training.search.fitting import fit
from training.space.joint_space import Candidate

TASKS = ("binary", "multiclass", "regression")
CASES = [(family, task) for family in NETWORKS for task in TASKS]


def fitted(family: str, rows: TrainingFrame, **params: Any) -> Scorer:
    require(family)
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    pipeline = fit(Candidate(family, {**NETWORKS[family], **params}), rows, 0)
    return Scorer(pipeline, rows.encoder, answering, matrix_format="dense")


@cache
def learned(family: str, task: str) -> tuple[Scorer, Compilation]:
    """Fitted on rows with large integers, and with a vocabulary of twelve towns."""
    rows = frame_of(task)
    scorer = fitted(family, rows)
    return scorer, compile_scorer(scorer, rows.features)


@pytest.mark.parametrize(("family", "task"), CASES)
def test_a_network_beats_the_baseline_and_the_same_seed_gives_the_same_bits(family: str, task: str) -> None:
    rows = rows_of(task, 600)
    predicted = fitted(family, rows).predict(rows.features)
    metric, bar = ("r2", 0.6) if task == "regression" else ("roc_auc", 0.85)
    assert METRICS[metric].function(rows.y, predicted, 0.5) > bar
    np.testing.assert_array_equal(fitted(family, rows).predict(rows.features), predicted)


@pytest.mark.parametrize(("family", "task"), CASES)
def test_a_version_predicts_bit_by_bit_as_the_fitted_network_at_any_batch(
    tmp_path: Path, family: str, task: str
) -> None:
    scorer, compilation = learned(family, task)
    assert compilation.tags()["compiled"] == "network", compilation.reason
    assert compilation.difference == 0
    read = Scorer.load(compilation.applied_to(scorer).save(tmp_path))
    assert read.pipeline is None
    assert {path.name for path in tmp_path.iterdir()} == {"pipeline.skops", "scorer.json", "network.onnx"}
    rows = ENCODER.dense(frame_of(task).features)[:300]
    expected = scorer.predict(columns_of(rows))
    for batch in (1, 7, 100, 300):
        parts = [read.predict(columns_of(rows[start : start + batch])) for start in range(0, 300, batch)]
        np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.mark.parametrize(("family", "task"), CASES)
def test_a_record_has_one_answer_alone_in_batch_and_in_pyfunc(family: str, task: str) -> None:
    scorer, compilation = learned(family, task)
    served: Any = ScoringModel()
    served.scorer = compilation.applied_to(scorer)
    rows = ENCODER.dense(frame_of(task).features)[:100]
    records = [record_of(row) for row in rows]
    together = served.respond(records)
    assert [served.scorer.respond([record])[0] for record in records] == together
    assert served.scorer.outcomes_of_features(columns_of(rows), records) == together


@pytest.mark.parametrize("family", NETWORKS)
def test_a_version_needs_the_onnx_runtime_and_imports_no_library_of_networks(tmp_path: Path, family: str) -> None:
    scorer, compilation = learned(family, "binary")
    needed = {line.partition("==")[0] for line in requirements(compilation.applied_to(scorer))}
    assert "onnxruntime" in needed
    assert needed.isdisjoint({"torch", "keras", "tensorflow-cpu", "onnx"})
    artifacts = compilation.applied_to(scorer).save(tmp_path)
    code = (
        "import json, sys\nfrom scoring.scorer import Scorer\n"
        "scorer = Scorer.load(json.loads(sys.argv[1]))\nprint(scorer.respond([json.loads(sys.argv[2])]))\n"
        "print({'torch', 'tensorflow', 'keras', 'sklearn', 'onnx'} & set(sys.modules))"
    )
    record = record_of(ENCODER.dense(frame_of("binary").features)[0])
    answered = subprocess.run(
        [sys.executable, "-c", code, json.dumps(artifacts), json.dumps(record)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answered.stdout.splitlines() == [str(scorer.respond([record])), "set()"]


@pytest.mark.parametrize("family", NETWORKS)
def test_a_network_is_a_member_of_a_blend_that_is_compiled(tmp_path: Path, family: str) -> None:
    require(family)
    rows = rows_of("binary", 300)
    members = [(0.5, Candidate(family, NETWORKS[family])), (0.5, Candidate("lightgbm", dict(POINTS)["lightgbm"]))]
    answering = ResponseFormat(rows.task.fields, 0.5, rows.task, rows.classes)
    scorer = Scorer(fit(blend_candidate(members), rows, 0), rows.encoder, answering, matrix_format="dense")
    compilation = compile_scorer(scorer, rows.features)
    assert compilation.tags()["compiled"] == "blend of network, onnx", compilation.reason
    read = Scorer.load(compilation.applied_to(scorer).save(tmp_path))
    np.testing.assert_array_equal(read.predict(rows.features), scorer.predict(rows.features))


@pytest.mark.parametrize("family", NETWORKS)
def test_weights_of_classes_and_of_old_rows_change_a_network(family: str) -> None:
    rows = rows_of("binary", 300)
    rare = replace(rows, y=np.where(np.arange(300) % 6 > 1, 0, rows.y))

    def mean(**params: object) -> float:
        return float(fitted(family, rare, **params).predict(rare.features).mean())

    plain = mean()
    assert mean(class_weight="balanced") > 1.2 * plain
    assert mean(recency_half_life_days=30) != plain


@pytest.mark.parametrize("family", NETWORKS)
def test_a_category_that_no_row_had_is_predicted_as_the_unknown_one(family: str) -> None:
    rows = rows_of("binary", 300)
    without = replace(rows, features={**rows.features, "place_index": rows.features["place_index"] % 3})
    scorer = fitted(family, without)

    def at(place: float) -> Floats:
        return scorer.predict({**rows.features, "place_index": np.full(300, place)})

    np.testing.assert_array_equal(at(3), at(0))
    assert not np.array_equal(at(1), at(2))


@pytest.mark.parametrize("family", NETWORKS)
def test_missing_and_extreme_numbers_have_predictions(family: str) -> None:
    require(family)
    draw = np.random.default_rng(3)
    x = np.column_stack([draw.normal(size=600), draw.normal(size=600) * 1e15, draw.integers(0, 5, 600)])
    x[::5, 0] = np.nan
    y = (np.nan_to_num(x[:, 0], nan=2.0) > 0).astype(np.int64)
    pipeline = FAMILIES[family].build(NETWORKS[family], 0, DataFacts(BINARY, 2, {2: 5})).fit(x, y)
    network = pipeline["model"].network_
    assert isinstance(network, Network)
    assert METRICS["roc_auc"].function(y, network.predict_proba(x)[:, 1], 0.5) > 0.9
    extreme = np.array([[np.nan, np.nan, np.nan], [1e308, -1e308, 1e9], [-1e308, 1e308, -1.0]])
    assert np.isfinite(network.predict_proba(extreme)).all()
