"""Networks over the history of a series: they forecast, repeat themselves, and are served as the graph of trials."""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakehouse.arrays import Floats
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS
from scoring.forecasts.forecaster import Forecaster
from scoring.predictions import SCALE
from scoring.pyfunc import ScoringModel
from scoring.scorer import ResponseFormat, Scorer
from scoring.tasks import FORECAST
from tests.unit.frames import by_time
from tests.unit.networks.points import require
from tests.unit.networks.test_fits import Killed, folder, killed_after
from training.evaluation.calibration import FoldPredictions
from training.evaluation.metrics import METRICS
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold, folds
from training.networks.checkpoint import Checkpoint
from training.networks.history.inputs import HistoryInputs
from training.networks.rungs import FitStopped
from training.registry.compilation import Compilation, compile_scorer
from training.search.fitting import fit
from training.search.pruning.halving import HalvingWatch, RungLimits
from training.search.trial import Attempt, TrialSpec, run_trial
from training.space.joint_space import Candidate
from training.space.space import Params
from training.stages.conformal import with_conformal_bounds
from training.use_case.forecast import ForecastColumns, SeriesHistory
from training.use_case.use_case import UseCase, load

_SHARED: Params = {"dropout": 0.0, "weight_decay": 1e-3, "recency_half_life_days": None, "max_epochs": 16}
FAMILIES: dict[str, Params] = {
    "nhits": {"learning_rate": 0.01, "rate": 4, "width": 64, **_SHARED},
    "patch_transformer": {"learning_rate": 0.005, "patch": 5, "blocks": 1, "width": 32, **_SHARED},
}
LENGTH, HORIZON, PERIOD = 18, 6, 9
DECLARED = ForecastColumns(
    level="level",
    scale="scale",
    season="season",
    step="step",
    history=SeriesHistory(prefix="ago_", length=LENGTH),
)
HISTORY = SeriesHistory(prefix="ago_", length=LENGTH).features
OTHERS = "level", "scale", "season", "step"
ENCODER = Encoder(
    ENCODINGS.validate_python(
        [
            *({"column": name, "as": "number", "type": "double"} for name in OTHERS),
            *({"column": name, "as": "number", "type": "double", "missing": "keep"} for name in reversed(HISTORY)),
            {"column": "town", "as": "category_index", "index": "gold.town_index"},
        ]
    ),
    {"gold.town_index": ("", "Aachen", "Bonn", "Celle")},
    (*OTHERS, *reversed(HISTORY), "town_index"),
)

__all__ = ["folder"]


@cache
def rows_of_series(missing: float = 0.0) -> TrainingFrame:
    """Rows of waves of any phase: only the order of the history tells where a wave is at a step."""
    draw, origins = np.random.default_rng(7), 120
    phase = np.repeat(draw.uniform(0, 2 * np.pi, origins), HORIZON)
    step = np.tile(np.arange(HORIZON, dtype=np.float64), origins)
    level, scale = (np.repeat(draw.uniform(low, high, origins), HORIZON) for low, high in ((-50, 500), (1, 20)))

    def wave(at: Floats) -> Floats:
        return np.asarray(np.sin(phase + 2 * np.pi * at / PERIOD) + draw.normal(0, 0.05, len(phase)))

    features = {name: wave(np.full(len(phase), ago - LENGTH)) for ago, name in enumerate(HISTORY)}
    for values in features.values():
        values[draw.random(len(values)) < missing] = np.nan
    features |= {"level": level, "scale": scale, "season": draw.normal(size=len(step)), "step": step}
    features["town_index"] = draw.integers(0, 4, len(step)).astype(np.float64)
    matrix = ENCODER.matrix(features)
    days = np.repeat(np.arange(origins), HORIZON)
    return TrainingFrame(
        FORECAST,
        matrix.values,
        matrix.columns,
        features,
        level + scale * wave(step),
        np.datetime64("2020-01-01", "us") + days * np.timedelta64(1, "D"),
        np.arange(len(step)),
        ENCODER,
        {"gold.t": 3},
        classes=(),
        forecast=DECLARED,
    )


def fitted(family: str, rows: TrainingFrame, **params: Any) -> Scorer:
    require("mlp")
    answering = ResponseFormat(FORECAST.fields, 0.5, FORECAST, ())
    pipeline = fit(Candidate(family, {**FAMILIES[family], **params}), rows, 0)
    return Scorer(pipeline, rows.encoder, answering, matrix_format="dense")


@cache
def learned(family: str) -> tuple[Scorer, Compilation]:
    rows = rows_of_series()
    scorer = fitted(family, rows)
    return scorer, compile_scorer(scorer, rows.features)


def mase(rows: TrainingFrame, predicted: Floats) -> float:
    return METRICS["mase"].function(rows.y, predicted, 0.5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_forecasts_from_the_order_of_the_history_and_the_same_seed_gives_the_same_bits(family: str) -> None:
    rows = rows_of_series()
    first, last = rows.rows(np.arange(600)), rows.rows(np.arange(600, 720))
    scorer = fitted(family, first, max_epochs=32)
    assert mase(last, scorer.predict(last.features)) < 0.3  # 0.64 without the history, 0.04 is the noise
    again = fitted(family, first, max_epochs=32)
    np.testing.assert_array_equal(again.predict(last.features), scorer.predict(last.features))
    shuffled = dict(zip(HISTORY, (last.features[name] for name in reversed(HISTORY)), strict=True))
    assert mase(last, scorer.predict({**last.features, **shuffled})) > 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_version_forecasts_bit_by_bit_as_the_fitted_network_alone_in_batch_pyfunc_and_without_torch(
    tmp_path: Path, family: str
) -> None:
    scorer, compilation = learned(family)
    assert compilation.tags()["compiled"] == "network", compilation.reason
    assert compilation.difference == 0
    artifacts = compilation.applied_to(scorer).save(tmp_path)
    read, rows = Scorer.load(artifacts), rows_of_series()
    expected = scorer.predict(rows.features)
    for batch in (1, 7, 100, 720):
        parts = [
            read.predict({name: values[start : start + batch] for name, values in rows.features.items()})
            for start in range(0, len(rows), batch)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    names = ENCODER.features
    records = [
        {name.removesuffix("_index"): rows.features[name][row] for name in names} | {"town": "Bonn"}
        for row in range(40)
    ]
    served: Any = ScoringModel()
    served.scorer = read
    together = served.respond(records)
    assert [read.respond([record])[0] for record in records] == together
    code = (
        "import json, sys\nfrom scoring.scorer import Scorer\n"
        "scorer = Scorer.load(json.loads(sys.argv[1]))\nprint(scorer.respond([json.loads(sys.argv[2])]))\n"
        "print({'torch', 'sklearn', 'onnx'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, json.dumps(artifacts), json.dumps(records[0])]
    answered = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answered.stdout.splitlines() == [str([together[0]]), "set()"]


@pytest.mark.parametrize("family", FAMILIES)
def test_missing_values_later_steps_and_extreme_numbers_have_forecasts(tmp_path: Path, family: str) -> None:
    rows = rows_of_series(0.2)
    scorer = fitted(family, rows)
    assert mase(rows, scorer.predict(rows.features)) < 0.5
    read = Scorer.load(compile_scorer(scorer, rows.features).applied_to(scorer).save(tmp_path))
    np.testing.assert_array_equal(read.predict(rows.features), scorer.predict(rows.features))
    some = {name: values[:3] for name, values in rows.features.items()}
    extreme = {"ago_1": np.array([1e308, np.nan, -1e308]), "ago_5": np.full(3, np.nan)}
    assert np.isfinite(read.predict({**some, **extreme})).all()
    beyond = {"step": np.array([HORIZON, 1e9, 2**40])}
    assert np.isfinite(read.predict({**some, **beyond})).all()
    inputs = HistoryInputs.of(ENCODER.dense(rows.features), {}, range(4, 4 + LENGTH), 3)
    numbers, _ = inputs.prepared(ENCODER.dense({**some, "step": np.array([2.0, HORIZON, np.nan])}))
    assert numbers[:, -1].tolist() == [2, HORIZON - 1, 0], "a later step has the forecast of the last one"


@pytest.mark.parametrize("family", FAMILIES)
def test_conformal_bounds_of_a_network_hold_as_often_as_they_say(family: str) -> None:
    rows = rows_of_series()
    parts = list(folds(rows, by_time(folds=2), 0))
    candidate = Candidate(family, FAMILIES[family])
    require("mlp")
    predictions = [
        FoldPredictions(part.validate.y, FORECAST.predict(fit(candidate, part.fit, 0), part.validate.inputs("dense")))
        for part in parts
    ]
    bounded, note = with_conformal_bounds(learned(family)[0].pipeline, parts, predictions, "step")
    forecasts = FORECAST.predict(bounded, rows.inputs("dense"))
    assert "errors out of fold" in note
    np.testing.assert_array_equal(forecasts[:, SCALE], rows.features["scale"])
    inside = (forecasts[:, 1] <= rows.y) & (rows.y <= forecasts[:, 2])
    assert inside.mean() > 0.75


def network(family: str, **params: Any) -> Any:
    """The network inside of a forecaster."""
    require("mlp")
    forecaster: Forecaster = fit(Candidate(family, {**FAMILIES[family], **params}), rows_of_series(), 0)["model"]
    return forecaster.model["model"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_interrupted_fit_resumes_to_the_same_bits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    expected = network(family)
    for saves in (3, 18):  # in the stage with validation rows, and in the one with all rows
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", killed_after(saves))
            with pytest.raises(Killed):
                network(family)
        resumed = network(family)
        assert (resumed.graph, resumed.epochs) == (expected.graph, expected.epochs)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_diverging_trial_fails_with_its_epoch_and_noise_stops_early(family: str) -> None:
    rows = rows_of_series()
    candidate = Candidate(family, {**FAMILIES[family], "learning_rate": 1e30})
    require("mlp")
    trial = run_trial(3, candidate, [Fold(rows, rows)], 0, 0.5)
    assert trial.status == "failed"
    assert str(trial.error).startswith("Diverged: the loss is not a number in epoch ")
    noise = replace(rows, y=rows.features["level"] + np.random.default_rng(0).normal(size=len(rows)))
    pipeline = fit(Candidate(family, {**FAMILIES[family], "max_epochs": 64}), noise, 0)
    assert pipeline["model"].model["model"].epochs < 32


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_worse_than_the_limit_of_a_rung_stops_there(family: str) -> None:
    require("mlp")

    def watched(limits: RungLimits) -> HalvingWatch:
        watch = HalvingWatch(limits, threshold=0.5)
        with suppress(FitStopped):
            fit(Candidate(family, FAMILIES[family]), rows_of_series(), 0, watch)
        return watch

    losses = watched(RungLimits("mase")).losses
    assert 3 <= len(losses) <= 4  # epochs 2, 4, 8 and, without early stopping, 16
    assert all(0 < loss < 1 for loss in losses), "errors in scales"
    rows, limits = rows_of_series(), RungLimits("mase", (losses[0], losses[1] - 1e-9), (4, 4))
    spec = TrialSpec(3, Candidate(family, FAMILIES[family]), None, limits)
    trial = Attempt([Fold(rows, rows)], 0, 0.5)(spec)
    assert (trial.status, trial.rungs) == ("pruned", tuple(losses[:2]))
    assert "after 4 epochs is worse than" in str(trial.error)


def test_a_history_that_a_candidate_leaves_out_is_refused() -> None:
    require("mlp")
    with pytest.raises(ValueError, match="a feature of the history or of the step is left out"):
        fit(Candidate("nhits", {**FAMILIES["nhits"], "without.ago_3": True}), rows_of_series(), 0)


def test_a_use_case_that_names_a_network_declares_the_history() -> None:
    declared = load("regional_revenue").model_dump(exclude_unset=True)
    declared["search"] = declared["search"] | {"families": ["nhits"]}
    with pytest.raises(ValueError, match=r"nhits, which reads the last values .* declare .* as forecast\.history"):
        UseCase.model_validate(declared)
    declared["forecast"] = declared["forecast"] | {"history": {"prefix": "days_ago_", "length": 28}}
    assert UseCase.model_validate(declared).forecast is not None
