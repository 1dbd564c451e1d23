"""Compiled models: every family of every task is served, and a compiled model predicts as its pipeline does."""

import copy
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import ContractModel
from scoring.compiled import LIMIT, load_compiled
from scoring.estimators.calibrated import Calibrated
from scoring.estimators.calibration_curve import CurveKind
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import TASKS
from tests.unit.points import LOCAL, POINTS, rows_of, with_predictions
from tests.unit.scoring.test_scorer import RECORDS
from training.evaluation.calibration import FoldPredictions, fit_curve
from training.evaluation.metrics import METRICS
from training.frame.frame import TrainingFrame
from training.models import FAMILIES, trees
from training.registry import onnx_export
from training.registry.compilation import Compilation, compile_scorer
from training.registry.reference import reference
from training.registry.tree_readers import read_trees
from training.search.ensemble_candidates import blend_candidate, stack_candidate
from training.search.fitting import ENSEMBLES, fit
from training.space.joint_space import Candidate

PARAMS = dict(POINTS)
# Kind of each family on the rows here, which have an index of four categories; `none` is not compiled.
KINDS = {
    "dummy": "none",
    "seasonal_naive": "linear",
    "auto_ets": "linear",
    "auto_theta": "linear",
    "mfles": "linear",
    "logistic_regression": "linear",
    "ridge": "linear",
    "elastic_net": "linear",
    "knn": "neighbours",
    "random_forest": "onnx",
    "extra_trees": "onnx",
    "gradient_boosting": "onnx",
    "lightgbm": "onnx",
    "xgboost": "onnx",
    "catboost": "catboost",
}
ABLE = [(family, task) for family in KINDS for task in sorted(map(str, FAMILIES[family].tasks))]
STACKABLE = [name for name, task in TASKS.items() if not task.declares_forecast]
BY_TASK = {task: rows_of(task, 200) for task in TASKS}


def rows_split_by_place(task: str, family: str = "") -> TrainingFrame:
    """Rows whose label depends on their place too, so that learners split by it; LightGBM needs more of them."""
    rows = rows_of(task, 600) if family == "lightgbm" else BY_TASK[task]
    odd = rows.features["place_index"] % 2
    y = np.where(odd == 1, rows.y, 0) if TASKS[task].predicts_classes else rows.y + 3 * odd
    return replace(rows, y=y)


def scorer_of(candidate: Candidate, rows: TrainingFrame, threshold: float = 0.5) -> Scorer:
    answering = ResponseFormat(rows.task.fields, threshold, rows.task, rows.classes)
    pipeline = fit(candidate, rows, 0)
    return Scorer(pipeline, rows.encoder, answering, matrix_format=FAMILIES[candidate.family].matrix_format)


def calibrated(scorer: Scorer, rows: TrainingFrame, curve: CurveKind) -> Scorer:
    numbers = fit_curve(curve, FoldPredictions(rows.y, scorer.predict(rows.features)))
    return replace(scorer, pipeline=Calibrated(scorer.pipeline, curve, numbers))


def require_served(scorer: Scorer, rows: TrainingFrame, folder: Path) -> Compilation:
    """Save the version, load it as the server does, and compare its predictions bit by bit with the pipeline."""
    compilation = compile_scorer(scorer, rows.features)
    read = Scorer.load(compilation.applied_to(scorer).save(folder))
    scorer = replace(scorer, pipeline=reference(scorer.pipeline, scorer.encoder, scorer.matrix_format))
    assert (read.compiled is None) is (compilation.compiled is None)
    np.testing.assert_array_equal(read.predict(rows.features), scorer.predict(rows.features))
    if read.compiled is not None:  # with categories that no row here has, and one row at a time
        assert read.pipeline is None
        every = {**rows.features, "place_index": np.arange(len(rows)) % 6.0}
        np.testing.assert_array_equal(read.predict(every), scorer.predict(every))
        if rows.task.declares_classes:
            np.testing.assert_allclose(read.predict(every).sum(axis=1), 1, rtol=1e-12)
        alone = np.asarray([read.compiled.predict_one(row) for row in scorer.encoder.dense(every).tolist()[:40]])
        np.testing.assert_array_equal(alone, scorer.predict(every)[:40])
    responses = json.loads(ContractModel(read.respond).predictions(ScoringRequest(RECORDS)))["predictions"]
    assert responses == scorer.respond(RECORDS)
    return compilation


@pytest.mark.parametrize(("family", "task"), ABLE)
def test_every_family_is_served_and_its_compiled_model_predicts_as_the_pipeline(
    tmp_path: Path, family: str, task: str
) -> None:
    rows = rows_split_by_place(task, family)
    compilation = require_served(scorer_of(Candidate(family, PARAMS[family]), rows), rows, tmp_path)
    tags = compilation.tags()
    assert tags["compiled"] == KINDS[family]
    if compilation.compiled is not None:
        assert (tags["compiled_max_difference"], tags["compiled_limit"]) == ("0", "1e-12")
        assert all(key.isidentifier() for key in tags)  # the keys that Unity Catalog takes


def test_every_family_is_tested_here() -> None:
    assert set(KINDS) == set(LOCAL) - ENSEMBLES


@pytest.mark.parametrize(("family", "task"), [able for able in ABLE if KINDS[able[0]] != "none"])
def test_compiled_models_ignore_inputs_that_are_left_out(tmp_path: Path, family: str, task: str) -> None:
    rows = BY_TASK[task]
    for number, column in enumerate(("known", "place")):
        params = {**PARAMS[family], f"without.{column}": True}
        (folder := tmp_path / str(number)).mkdir()
        assert require_served(scorer_of(Candidate(family, params), rows), rows, folder).compiled is not None


@pytest.mark.parametrize("task", TASKS)
def test_catboost_is_a_graph_if_there_are_no_categories_and_no_softmax_of_its_own(tmp_path: Path, task: str) -> None:
    rows = BY_TASK[task]
    scorer = scorer_of(Candidate("catboost", {**PARAMS["catboost"], "without.place": True}), rows)
    kind = "catboost" if task == "multiclass" else "onnx"
    assert require_served(scorer, rows, tmp_path).tags()["compiled"] == kind


@pytest.mark.parametrize("curve", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("family", ["logistic_regression", "knn", "lightgbm", "catboost"])
def test_calibrated_versions_are_compiled(tmp_path: Path, family: str, curve: CurveKind) -> None:
    rows = rows_split_by_place("binary")
    scorer = scorer_of(Candidate(family, {**PARAMS[family], "without.known": True}), rows, threshold=0.3)
    compilation = require_served(calibrated(scorer, rows, curve), rows, tmp_path)
    assert compilation.tags()["compiled"] == KINDS[family]


@pytest.mark.parametrize("task", TASKS)
def test_a_blend_is_compiled_from_its_compiled_members(tmp_path: Path, task: str) -> None:
    rows = rows_split_by_place(task)
    linear = "logistic_regression" if TASKS[task].predicts_classes else "ridge"
    parts = [
        (0.2, Candidate.of("knn", PARAMS["knn"])),
        (0.5, Candidate.of("xgboost", {**PARAMS["xgboost"], "without.known": True})),
        (0.3, Candidate.of(linear, PARAMS[linear])),
    ]
    compilation = require_served(scorer_of(blend_candidate(parts), rows), rows, tmp_path)
    assert compilation.tags()["compiled"] == "blend of neighbours, onnx, linear"


@pytest.mark.parametrize("final_estimator", ["lightgbm", "xgboost", "catboost", "gradient_boosting"])
@pytest.mark.parametrize("task", STACKABLE)
def test_a_stack_is_compiled_from_both_of_its_layers(tmp_path: Path, task: str, final_estimator: str) -> None:
    rows = rows_split_by_place(task, final_estimator)
    linear = "logistic_regression" if TASKS[task].predicts_classes else "ridge"
    bases = [
        Candidate.of("knn", PARAMS["knn"]),
        Candidate.of("xgboost", {**PARAMS["xgboost"], "without.known": True}),
        Candidate.of(linear, PARAMS[linear]),
    ]
    one = stack_candidate(bases, Candidate.of(final_estimator, {**PARAMS[final_estimator], "without.known": True}))
    learning = with_predictions(rows, *bases)
    compilation = require_served(scorer_of(one, learning), learning, tmp_path)
    kind = KINDS[final_estimator]
    assert compilation.tags()["compiled"] == f"stack of {kind} on neighbours, onnx, linear"
    assert compilation.difference == 0
    assert scorer_of(one, learning).pipeline["model"].final_estimator.steps[0][0] == "kept"


def test_a_stack_on_a_base_that_cannot_be_compiled_is_not_compiled(tmp_path: Path) -> None:
    rows = with_predictions(rows_split_by_place("binary"), Candidate("dummy", {}))
    one = stack_candidate([Candidate("dummy", {})], Candidate.of("lightgbm", PARAMS["lightgbm"]))
    compilation = require_served(scorer_of(one, rows), rows, tmp_path)
    assert compilation.compiled is None
    assert "a member has no faster kind" in compilation.reason


def test_a_stack_whose_file_lacks_a_base_is_not_loaded(tmp_path: Path) -> None:
    base = Candidate.of("knn", PARAMS["knn"])
    rows = with_predictions(BY_TASK["binary"], base)
    one = stack_candidate([base], Candidate.of("xgboost", PARAMS["xgboost"]))
    model = compile_scorer(scorer_of(one, rows), rows.features)
    assert model.compiled is not None
    files = model.compiled.save(tmp_path)
    lacking = {name: path for name, path in files.items() if not name.startswith("0-")}
    with pytest.raises(ValueError, match=r"stack\.json needs 2 compiled members, and 1 of them have files"):
        load_compiled(lacking)


def test_compiled_neighbours_can_be_copied_and_pickled() -> None:
    scorer = scorer_of(Candidate("knn", PARAMS["knn"]), BY_TASK["binary"])
    model = compile_scorer(scorer, BY_TASK["binary"].features).compiled
    assert model is not None
    rows = scorer.encoder.dense(BY_TASK["binary"].features)
    unpickled = pickle.loads(pickle.dumps(model))  # noqa: S301  (bytes of our own)
    for copied in (copy.deepcopy(model), unpickled):
        np.testing.assert_array_equal(copied.predict_many(rows), model.predict_many(rows))


def test_a_blend_may_have_a_native_member(tmp_path: Path) -> None:
    assert _of_two("catboost", tmp_path).tags()["compiled"] == "blend of linear, catboost"


def test_a_blend_with_a_member_that_cannot_be_compiled_is_not_compiled(tmp_path: Path) -> None:
    compilation = _of_two("dummy", tmp_path)
    assert compilation.compiled is None
    assert "a member has no faster kind" in compilation.reason


@pytest.mark.parametrize("task", TASKS)
def test_xgboost_stays_native_with_many_categories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(onnx_export, "MOST_COMPARED", 3)
    rows = rows_split_by_place(task)
    compilation = require_served(scorer_of(Candidate("xgboost", PARAMS["xgboost"]), rows), rows, tmp_path)
    assert compilation.tags()["compiled"] == "xgboost"


def test_a_graph_of_xgboost_starts_where_the_library_does_for_every_share_of_labels() -> None:
    from xgboost import XGBClassifier

    rows = np.random.default_rng(3).normal(size=(60, 2))
    # For the first three numpy's logarithm in single precision has another last bit than that of the C library.
    for share in (0.63422245, 0.60450304, 0.540632, 0.27439097, 0.050154053):
        model = XGBClassifier(n_estimators=3, max_depth=2, base_score=share, n_jobs=1).fit(rows, rows[:, 0] > 0)
        graph, metadata = read_trees(model, 2)
        sums = graph.compiled(metadata).sums(rows)
        assert sums[:, 0].tolist() == model.predict(rows, output_margin=True).tolist()


def _of_two(family: str, folder: Path) -> Compilation:
    rows = rows_split_by_place("binary")
    parts = [(0.5, Candidate.of(each, PARAMS[each])) for each in ("logistic_regression", family)]
    return require_served(scorer_of(blend_candidate(parts), rows), rows, folder)


def test_target_encoding_of_many_categories_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_ORDERED", 3)
    monkeypatch.setattr(trees, "MOST_CATEGORIES", 3)
    for family in ("random_forest", "gradient_boosting"):
        for task in TASKS:
            rows = rows_split_by_place(task)
            (folder := tmp_path / f"{family}-{task}").mkdir()
            compilation = require_served(scorer_of(Candidate(family, PARAMS[family]), rows), rows, folder)
            assert compilation.tags()["compiled"] == "onnx"


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "random_forest"])
def test_models_here_depend_on_the_place(family: str) -> None:
    rows = rows_split_by_place("binary", family)
    roc_auc: Callable[..., float] = METRICS["roc_auc"].function
    elsewhere: Any = {**rows.features, "place_index": 1 - rows.features["place_index"] % 2}
    scorer = scorer_of(Candidate(family, PARAMS[family]), rows)
    there = roc_auc(rows.y, scorer.predict(rows.features), 0.5)
    assert there > roc_auc(rows.y, scorer.predict(elsewhere), 0.5) + 0.2


def test_a_compiled_model_with_other_predictions_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    from scoring.compiled.linear import CompiledLinear

    right = CompiledLinear.predict_many
    monkeypatch.setattr(CompiledLinear, "predict_many", lambda self, rows: right(self, rows) + 2 * LIMIT)
    alone = CompiledLinear.predict_one
    monkeypatch.setattr(CompiledLinear, "predict_one", lambda self, row: float(str(alone(self, row))) + 2 * LIMIT)
    rows = BY_TASK["binary"]
    compilation = compile_scorer(
        scorer_of(Candidate("logistic_regression", PARAMS["logistic_regression"]), rows), rows.features
    )
    assert compilation.compiled is None
    assert re.search(r"on \d+ rows exceeds 1e-12", compilation.reason)
    assert compilation.summary().startswith("not compiled: linear: max difference ")
