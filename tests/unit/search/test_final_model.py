"""The final model: fitted on all rows, or the bag of the folds' models, by what measures better on unseen rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scoring.predictions import weighted_average
from scoring.scorer import Scorer
from tests.unit.frames import ENCODER
from tests.unit.in_memory_reader import use_case
from tests.unit.points import POINTS, rows_of
from training.budget import Budget
from training.evaluation.metrics import evaluate
from training.frame.splits import folds
from training.models import FAMILIES
from training.registry.compilation import compile_scorer
from training.search.ensemble_candidates import blend_candidate
from training.search.fitting import fit
from training.search.trial import Trial, run_trial
from training.space.joint_space import Candidate
from training.stages import final_model as final_models
from training.stages.final_model import BagRefused, bag_of, final_model
from training.stages.refit import refit
from training.use_case.use_case import UseCase

ROWS = rows_of("binary")
LIGHTGBM = Candidate.of("lightgbm", dict(POINTS)["lightgbm"])
LOGISTIC = Candidate.of("logistic_regression", dict(POINTS)["logistic_regression"])


def case(final: str, **split: Any) -> UseCase:
    declared = use_case("gold.features")
    search = declared.search.model_copy(update={"final": final})
    chosen = declared.split.model_copy(update={"by": "stratified", "folds": 3, **split})
    return declared.model_copy(update={"search": search, "split": chosen})


def trial_of(declared: UseCase, candidate: Candidate) -> Trial:
    return run_trial(1, candidate, list(folds(ROWS, declared.split, declared.search.seed)), declared.search.seed, 0.5)


@pytest.mark.parametrize(
    "candidate",
    [LIGHTGBM, LOGISTIC, blend_candidate([(0.75, LIGHTGBM), (0.25, LOGISTIC)])],
    ids=lambda each: each.family,
)
def test_a_bag_predicts_the_mean_of_the_folds_models_and_compiles_to_the_same_numbers(candidate: Candidate) -> None:
    declared = case("bag")
    found = final_model(declared, candidate, ROWS, 0.0, Budget())
    parts, matrix_format = (
        list(folds(ROWS, declared.split, declared.search.seed)),
        FAMILIES[candidate.family].matrix_format,
    )
    models = [fit(candidate, part.fit, declared.search.seed) for part in parts]
    each = [ROWS.task.predict(model, ROWS.inputs(matrix_format)) for model in models]
    scorer = Scorer(found.pipeline, ENCODER, declared.response_format, matrix_format=found.matrix_format)
    np.testing.assert_allclose(scorer.predict(ROWS.features), weighted_average(each, [1 / 3] * 3), rtol=1e-12)
    compilation = compile_scorer(scorer, ROWS.features)
    assert (compilation.difference, compilation.compiled is not None) == (0, True), compilation.reason
    assert "bag of 3 models" in found.note


def test_auto_compares_both_forms_on_rows_that_neither_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = case("auto")
    metric, seed = declared.search.metric, declared.search.seed
    parts = list(folds(ROWS, declared.split, seed))
    bags = []
    for part in parts:
        inner = [fit(LIGHTGBM, each.fit, seed) for each in folds(part.fit, declared.split, seed)]
        predicted = ROWS.task.predict(bag_of(inner, LIGHTGBM, part.fit), part.validate.inputs("dense"))
        bags.append(evaluate(ROWS.task, part.validate.y, predicted, 0.5)[metric])
    found = final_model(declared, LIGHTGBM, ROWS, 0.0, Budget())
    assert found.metrics[f"bag_{metric}"] == pytest.approx(np.mean(bags))
    assert found.metrics[f"refit_{metric}"] == pytest.approx(trial_of(declared, LIGHTGBM).metrics[metric])
    better = found.metrics[f"bag_{metric}"] > found.metrics[f"refit_{metric}"]
    assert (found.predictions is not None) == better == ("Final model: the bag" in found.note)

    monkeypatch.setattr(final_models, "_mean", lambda _case, _parts, each: each)
    monkeypatch.setattr(final_models, "_bag_predictions", lambda *_: np.ones(3))
    for bag, single, taken in ((0.8, 0.7, True), (0.7, 0.7, False), (0.6, 0.7, False)):
        pair = iter((bag, single))
        monkeypatch.setattr(final_models, "_mean", lambda *_, pair=pair: next(pair))
        assert ("Final model: the bag" in final_model(declared, LIGHTGBM, ROWS, 0.0, Budget()).note) == taken
    values = iter((0.8, 0.7))
    monkeypatch.setattr(final_models, "_mean", lambda *_: next(values))
    monkeypatch.setattr(final_models, "_too_slow", lambda *_: "a bag takes 9 ms")
    found = final_model(declared, LIGHTGBM, ROWS, 0.0, Budget())
    assert "a bag takes 9 ms" in found.note
    assert found.predictions is None


def test_auto_compares_inside_of_as_many_folds_as_time_allows() -> None:
    declared = case("auto")
    found = final_model(declared, LIGHTGBM, ROWS, 100.0, Budget.of(350))
    assert "as time allowed on 2 of 3 folds" in found.note
    metric = declared.search.metric
    of_two = np.mean([fold[metric] for fold in trial_of(declared, LIGHTGBM).per_fold[:2]])
    assert found.metrics[f"refit_{metric}"] == pytest.approx(of_two)
    assert (found.predictions, len(found.fold_pipelines)) == (None, 3)


def test_a_bag_beyond_half_of_the_latency_guard_is_too_slow() -> None:
    declared = case("auto")
    bag = final_model(case("bag"), LOGISTIC, ROWS, 0.0, Budget()).pipeline
    for limit, slow in ((1e-6, True), (1e6, False), (None, False)):
        guards = declared.promotion.guards.model_copy(update={"max_p99_ms": limit})
        limited = declared.model_copy(update={"promotion": declared.promotion.model_copy(update={"guards": guards})})
        assert (final_models._too_slow(limited, bag, ROWS) is not None) == slow


def test_auto_refits_where_time_or_folds_do_not_suffice_and_a_bag_of_one_fold_is_refused() -> None:
    out_of_time = final_model(case("auto"), LIGHTGBM, ROWS, 100.0, Budget.of(30))
    assert "comparing it with a bag takes about 200 s or more, and 30 s are left" in out_of_time.note
    one_fold = final_model(case("auto", by="window"), LIGHTGBM, ROWS, 0.0, Budget())
    assert "one fold" in one_fold.note
    assert not one_fold.fold_pipelines
    with pytest.raises(BagRefused, match="one fold"):
        final_model(case("bag", by="window"), LIGHTGBM, ROWS, 0.0, Budget())


def test_a_refitted_bag_is_calibrated_by_predictions_of_the_folds_and_says_so_in_its_notes() -> None:
    declared = case("bag")
    serving = declared.serving.model_copy(update={"calibration": "sigmoid"})
    declared = declared.model_copy(update={"serving": serving})
    winner = replace(trial_of(declared, LOGISTIC), predictions=None)
    refitted = refit(declared, winner, ROWS)
    assert "bag of 3 models" in refitted.notes[0]
    assert (len(refitted.fold_pipelines), refitted.scorer.matrix_format) == (3, "dense")
    assert compile_scorer(refitted.scorer, ROWS.features).difference == 0
