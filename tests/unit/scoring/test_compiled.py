"""Compiled forms: every family of every task is served, and a form that is kept answers as the pipeline does."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.loader import ContractModel
from scoring.compiled import LIMIT, difference
from scoring.estimators.calibrated import Calibrated
from scoring.estimators.calibration_curve import CurveKind
from scoring.scorer import FIELDS, Answering, Scorer
from tests.unit.points import POINTS, rows_of
from tests.unit.scoring.test_scorer import RECORDS
from training.evaluation.calibration import Validated, fitted
from training.evaluation.metrics import METRICS, Task
from training.frame.frame import TrainingFrame
from training.models import FAMILIES, trees
from training.registry import onnx_export
from training.registry.compilation import Compilation, compiled
from training.search.blend_candidate import blended
from training.search.fitting import fit
from training.space.joint_space import Candidate

PARAMS = dict(POINTS)
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
# Of what the rows here have, an index of four categories; `none` is served as it was fitted.
KINDS = {
    "dummy": "none",
    "logistic_regression": "linear",
    "ridge": "linear",
    "elastic_net": "linear",
    "knn": "neighbours",
    "random_forest": "onnx",
    "gradient_boosting": "none",
    "lightgbm": "onnx",
    "xgboost": "onnx",
    "catboost": "catboost",
}
ABLE = [(family, task) for family in KINDS for task in sorted(FAMILIES[family].tasks)]
BY_TASK = {task: rows_of(task, 200) for task in TASKS}


def where_places_count(task: Task, family: str = "") -> TrainingFrame:
    """Rows whose label is known by their place too, so that learners split by it; LightGBM asks for more of them."""
    rows = rows_of(task, 600) if family == "lightgbm" else BY_TASK[task]
    odd = rows.features["place_index"] % 2
    y = rows.y + 3 * odd if task == "regression" else np.where(odd == 1, rows.y, 0)
    return replace(rows, y=y)


def scorer_of(candidate: Candidate, rows: TrainingFrame, threshold: float = 0.5) -> Scorer:
    answering = Answering(FIELDS[rows.task], threshold, rows.task, rows.classes)
    pipeline = fit(candidate, rows, 0)
    return Scorer(pipeline, rows.encoder, answering, takes=FAMILIES[candidate.family].takes)


def calibrated(scorer: Scorer, rows: TrainingFrame, curve: CurveKind) -> Scorer:
    numbers = fitted(curve, Validated(rows.y, scorer.predicted(rows.features)))
    return replace(scorer, pipeline=Calibrated(scorer.pipeline, curve, numbers))


def require_served(scorer: Scorer, rows: TrainingFrame, folder: Path) -> Compilation:
    """Write the version, read it as the server does, and ask it: it is the pipeline within the limit."""
    found = compiled(scorer, rows.features)
    read = Scorer.load(found.within(scorer).save(folder))
    assert (read.compiled is None) is (found.compiled is None)
    assert difference(read.predicted(rows.features), scorer.predicted(rows.features)) <= LIMIT
    if read.compiled is not None:  # categories that no row here has, and one row at a time
        assert read.pipeline is None
        every = {**rows.features, "place_index": np.arange(len(rows)) % 6.0}
        assert difference(read.predicted(every), scorer.predicted(every)) <= LIMIT
        if rows.task == "multiclass":
            np.testing.assert_allclose(read.predicted(every).sum(axis=1), 1, rtol=1e-12)
        alone = np.asarray([read.compiled.one(row) for row in scorer.encoder.dense(every).tolist()[:40]])
        assert difference(alone, scorer.predicted(every)[:40]) <= LIMIT
    answers = json.loads(ContractModel(read.answer).predictions(ScoringRequest(RECORDS)))["predictions"]
    for answer, expected in zip(answers, scorer.answer(RECORDS), strict=True):
        assert answer.keys() == expected.keys()
        for name, value in expected.items():
            assert answer[name] == (value if isinstance(value, str) else pytest.approx(value, rel=LIMIT, abs=LIMIT))
    return found


@pytest.mark.parametrize(("family", "task"), ABLE)
def test_every_family_is_served_and_a_form_that_is_kept_answers_as_it_was_fitted(
    tmp_path: Path, family: str, task: Task
) -> None:
    rows = where_places_count(task, family)
    found = require_served(scorer_of(Candidate(family, PARAMS[family]), rows), rows, tmp_path)
    tags = found.tags()
    assert tags["compiled"] == KINDS[family]
    if family == "gradient_boosting":
        assert "knows no categories" in tags["compiled.reason"]
    elif found.compiled is not None:
        assert float(tags["compiled.max_difference"]) <= float(tags["compiled.limit"]) == LIMIT


def test_every_family_is_tried_here() -> None:
    assert set(KINDS) == set(FAMILIES) - {"blend"}


@pytest.mark.parametrize(("family", "task"), [able for able in ABLE if KINDS[able[0]] != "none"])
def test_what_is_left_out_is_no_input_of_the_form(tmp_path: Path, family: str, task: Task) -> None:
    rows = BY_TASK[task]
    for number, column in enumerate(("known", "place")):
        params = {**PARAMS[family], f"without.{column}": True}
        (folder := tmp_path / str(number)).mkdir()
        assert require_served(scorer_of(Candidate(family, params), rows), rows, folder).compiled is not None


@pytest.mark.parametrize("family", ["gradient_boosting", "catboost"])
@pytest.mark.parametrize("task", TASKS)
def test_boosters_whose_categories_no_graph_knows_are_graphs_where_there_are_none(
    tmp_path: Path, family: str, task: Task
) -> None:
    rows = BY_TASK[task]
    scorer = scorer_of(Candidate(family, {**PARAMS[family], "without.place": True}), rows)
    assert require_served(scorer, rows, tmp_path).tags()["compiled"] == "onnx"


@pytest.mark.parametrize("curve", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("family", ["logistic_regression", "knn", "lightgbm", "catboost"])
def test_a_calibrated_version_is_served_through_its_curve(tmp_path: Path, family: str, curve: CurveKind) -> None:
    rows = where_places_count("binary")
    scorer = scorer_of(Candidate(family, {**PARAMS[family], "without.known": True}), rows, threshold=0.3)
    found = require_served(calibrated(scorer, rows, curve), rows, tmp_path)
    assert found.tags()["compiled"] == KINDS[family]


@pytest.mark.parametrize("task", TASKS)
def test_a_blend_is_served_by_the_forms_of_its_members(tmp_path: Path, task: Task) -> None:
    rows = where_places_count(task)
    linear = "ridge" if task == "regression" else "logistic_regression"
    parts = [
        (0.2, Candidate.of("knn", PARAMS["knn"])),
        (0.5, Candidate.of("xgboost", {**PARAMS["xgboost"], "without.known": True})),
        (0.3, Candidate.of(linear, PARAMS[linear])),
    ]
    found = require_served(scorer_of(blended(parts), rows), rows, tmp_path)
    assert found.tags()["compiled"] == "blend of neighbours, onnx, linear"


def test_neighbours_are_copied_and_pickled() -> None:
    scorer = scorer_of(Candidate("knn", PARAMS["knn"]), BY_TASK["binary"])
    form = compiled(scorer, BY_TASK["binary"].features).compiled
    assert form is not None
    rows = scorer.encoder.dense(BY_TASK["binary"].features)
    unpickled = pickle.loads(pickle.dumps(form))  # noqa: S301  (bytes of our own)
    for again in (copy.deepcopy(form), unpickled):
        np.testing.assert_array_equal(again.many(rows), form.many(rows))


def test_a_blend_with_a_model_that_no_graph_can_be_keeps_the_forms_of_the_others(tmp_path: Path) -> None:
    assert _of_two("catboost", tmp_path).tags()["compiled"] == "blend of linear, catboost"


def test_a_blend_with_a_member_that_has_no_form_is_served_as_it_was_fitted(tmp_path: Path) -> None:
    found = _of_two("gradient_boosting", tmp_path)
    assert found.compiled is None
    assert "onnx: the converter of sklearn knows no categories" in found.reason


@pytest.mark.parametrize("task", TASKS)
def test_xgboost_answers_itself_where_a_graph_would_compare_many_categories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    monkeypatch.setattr(onnx_export, "MOST_COMPARED", 3)
    rows = where_places_count(task)
    found = require_served(scorer_of(Candidate("xgboost", PARAMS["xgboost"]), rows), rows, tmp_path)
    assert found.tags()["compiled"] == "xgboost"


def _of_two(family: str, folder: Path) -> Compilation:
    rows = where_places_count("binary")
    parts = [(0.5, Candidate.of(each, PARAMS[each])) for each in ("logistic_regression", family)]
    return require_served(scorer_of(blended(parts), rows), rows, folder)


def test_means_of_many_categories_are_part_of_the_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ORDERED", 3)
    monkeypatch.setattr(trees, "MOST_CATEGORIES", 3)
    for family in ("random_forest", "gradient_boosting"):
        for task in TASKS:
            rows = where_places_count(task)
            (folder := tmp_path / f"{family}-{task}").mkdir()
            found = require_served(scorer_of(Candidate(family, PARAMS[family]), rows), rows, folder)
            assert found.tags()["compiled"] == "onnx"


@pytest.mark.parametrize("family", ["lightgbm", "xgboost", "random_forest"])
def test_the_rows_here_are_split_by_their_places(family: str) -> None:
    rows = where_places_count("binary", family)
    roc_auc: Callable[..., float] = METRICS["roc_auc"].function
    elsewhere: Any = {**rows.features, "place_index": 1 - rows.features["place_index"] % 2}
    scorer = scorer_of(Candidate(family, PARAMS[family]), rows)
    there = roc_auc(rows.y, scorer.predicted(rows.features), 0.5)
    assert there > roc_auc(rows.y, scorer.predicted(elsewhere), 0.5) + 0.2


def test_a_form_that_answers_otherwise_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from scoring.compiled.linear import CompiledLinear

    right = CompiledLinear.many
    monkeypatch.setattr(CompiledLinear, "many", lambda self, rows: right(self, rows) + 2 * LIMIT)
    rows = BY_TASK["binary"]
    found = compiled(scorer_of(Candidate("logistic_regression", PARAMS["logistic_regression"]), rows), rows.features)
    assert found.compiled is None
    assert "apart on 200 rows, and at most 1e-05 is allowed" in found.reason
    assert found.told().startswith("it is served as it was fitted; linear: ")
