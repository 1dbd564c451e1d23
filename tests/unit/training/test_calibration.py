"""Calibration: a curve must help on rows that it was not fitted on, and keeps the order of rows."""

import numpy as np
import pytest
import skops.io
from scipy.special import expit, logit

from scoring.estimators.calibrated import Calibrated, with_curve_of
from scoring.estimators.calibration_curve import CurveKind, calibrated_by
from scoring.pipeline_file import TRUSTED
from tests.unit.frames import alternating
from training.evaluation.calibration import CURVES, FoldPredictions, calibrate, fit_curve
from training.evaluation.metrics import METRICS
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Value


def folds(bend: float, count: int = 4, rows: int = 1500, shift: float = 0.0) -> list[FoldPredictions]:
    """Folds whose probabilities have log-odds `bend` times as large as the true ones."""
    draw = np.random.default_rng(3)
    predictions = []
    for _ in range(count):
        true = draw.beta(2, 5, rows)
        labels = (draw.random(rows) < true).astype(np.int64)
        predictions.append(FoldPredictions(labels, expit(bend * logit(true) + shift)))
    return predictions


@pytest.mark.parametrize("in_time", [True, False])
def test_overconfident_probabilities_are_calibrated(in_time: bool) -> None:
    found = calibrate("auto", folds(bend=3), in_time=in_time)
    assert found.curve == "sigmoid"
    assert found.numbers[0] == pytest.approx(1 / 3, abs=0.05)
    assert found.gains["sigmoid"].pooled.low > 0
    assert len(found.gains["sigmoid"].each) == (3 if in_time else 4)
    assert found.summary.startswith("Calibration: sigmoid; reduction of log loss on held-out folds: sigmoid 0.")


def test_true_probabilities_are_not_calibrated() -> None:
    found = calibrate("auto", folds(bend=1), in_time=True)
    assert found.curve is None
    assert set(found.gains) == set(CURVES)
    rows = folds(bend=1)[0].predicted
    assert found.calibrated(rows) is rows
    neither = "Calibration: none; neither sigmoid nor isotonic lowers log loss on every fold (sigmoid -0."
    assert found.summary.startswith(neither)


def test_a_curve_that_helps_only_on_some_folds_is_not_chosen() -> None:
    bent, straight = folds(bend=3), folds(bend=1, rows=200)
    assert calibrate("auto", [*bent[:3], straight[3]], in_time=True).curve is None


def test_a_named_curve_is_always_fitted_and_measured() -> None:
    found = calibrate("isotonic", folds(bend=1), in_time=True)
    assert found.curve == "isotonic"
    assert set(found.gains) == {"isotonic"}


def test_one_fold_is_not_enough_to_measure_a_curve() -> None:
    one = folds(bend=3, count=1)
    assert calibrate("auto", one, in_time=True).summary == (
        "Calibration: none; not measured, which takes at least 2 folds"
    )
    assert calibrate("auto", one, in_time=True).curve is None
    assert calibrate("sigmoid", one, in_time=True).curve == "sigmoid"


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("bend", [3.0, 0.3, -1.0])
def test_no_curve_changes_the_order_of_rows(curve: CurveKind, bend: float) -> None:
    rows = folds(bend)[0]
    numbers = fit_curve(curve, rows)
    through = calibrated_by(curve, numbers, rows.predicted)
    for metric in ("roc_auc", "average_precision"):
        before, after = (METRICS[metric].function(rows.labels, said, 0.5) for said in (rows.predicted, through))
        assert after == pytest.approx(before, abs=1e-12)
    assert through.min() >= 0 and through.max() <= 1


@pytest.mark.parametrize("curve", CURVES)
def test_a_calibrated_model_round_trips_without_pickle(curve: CurveKind) -> None:
    rows = alternating(80)
    params: dict[str, Value] = {
        "inverse_regularization": 1.0,
        "penalty": "l2",
        "class_weight": None,
        "numeric_shape": "as_is",
        "recency_half_life_days": None,
    }
    model = fit(Candidate("logistic_regression", params), rows, 0)
    plain = model.predict_proba(rows.x)[:, 1]
    calibrated = Calibrated(model, curve, fit_curve(curve, FoldPredictions(rows.y, plain)))
    said = calibrated.predict_proba(rows.x)
    assert said[:, 1].tolist() == calibrated_by(curve, calibrated.numbers, plain).tolist()
    assert np.allclose(said.sum(axis=1), 1)
    kept = skops.io.dumps(calibrated)
    assert set(skops.io.get_untrusted_types(data=kept)) <= TRUSTED
    again = skops.io.loads(kept, trusted=sorted(TRUSTED))
    assert again.predict_proba(rows.x).tolist() == said.tolist()
    assert with_curve_of(calibrated, "another").model == "another"
    assert with_curve_of(model, "another") == "another"
