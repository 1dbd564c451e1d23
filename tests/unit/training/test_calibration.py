"""Calibration: a curve that helps on rows that it was not fitted on, and keeps every row in its order."""

import numpy as np
import pytest
import skops.io
from scipy.special import expit, logit

from scoring.estimators.calibrated import Calibrated, like
from scoring.estimators.calibration_curve import CurveKind, calibrated_by
from scoring.scorer import TRUSTED
from tests.unit.frames import alternating
from training.evaluation.calibration import CURVES, Validated, calibrate, fitted
from training.evaluation.metrics import METRICS
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.space.space import Value


def folds(bend: float, count: int = 4, rows: int = 1500, shift: float = 0.0) -> list[Validated]:
    """Folds whose probabilities have log-odds `bend` times as large as the true ones."""
    draw = np.random.default_rng(3)
    found = []
    for _ in range(count):
        true = draw.beta(2, 5, rows)
        labels = (draw.random(rows) < true).astype(np.int64)
        found.append(Validated(labels, expit(bend * logit(true) + shift)))
    return found


@pytest.mark.parametrize("in_time", [True, False])
def test_probabilities_that_are_too_bold_are_calibrated_and_what_it_brings_is_told(in_time: bool) -> None:
    found = calibrate("auto", folds(bend=3), in_time=in_time)
    assert found.curve == "sigmoid"
    assert found.numbers[0] == pytest.approx(1 / 3, abs=0.05)
    assert found.gains["sigmoid"].pooled.low > 0
    assert len(found.gains["sigmoid"].each) == (3 if in_time else 4)
    assert found.told.startswith(
        "Probabilities are calibrated (sigmoid); on folds apart, log loss falls by sigmoid 0."
    )


def test_true_probabilities_are_left_as_they_are() -> None:
    found = calibrate("auto", folds(bend=1), in_time=True)
    assert found.curve is None
    assert set(found.gains) == set(CURVES)
    rows = folds(bend=1)[0].predicted
    assert found.along(rows) is rows
    assert found.told.startswith("Probabilities are as the model says them: no curve lowers log loss on every fold")


def test_a_curve_that_helps_on_some_folds_alone_is_no_help() -> None:
    bent, straight = folds(bend=3), folds(bend=1, rows=200)
    assert calibrate("auto", [*bent[:3], straight[3]], in_time=True).curve is None


def test_a_named_curve_is_taken_whether_it_helps_or_not_and_measured() -> None:
    found = calibrate("isotonic", folds(bend=1), in_time=True)
    assert found.curve == "isotonic"
    assert set(found.gains) == {"isotonic"}


def test_one_fold_measures_nothing() -> None:
    one = folds(bend=3, count=1)
    assert "one fold is too few" in calibrate("auto", one, in_time=True).told
    assert calibrate("auto", one, in_time=True).curve is None
    assert calibrate("sigmoid", one, in_time=True).curve == "sigmoid"


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("bend", [3.0, 0.3, -1.0])
def test_no_curve_changes_the_order_of_rows(curve: CurveKind, bend: float) -> None:
    rows = folds(bend)[0]
    numbers = fitted(curve, rows)
    through = calibrated_by(curve, numbers, rows.predicted)
    for metric in ("roc_auc", "average_precision"):
        before, after = (METRICS[metric].function(rows.labels, said, 0.5) for said in (rows.predicted, through))
        assert after == pytest.approx(before, abs=1e-12)
    assert through.min() >= 0 and through.max() <= 1


@pytest.mark.parametrize("curve", CURVES)
def test_a_calibrated_model_is_kept_without_pickle_and_answers_as_before(curve: CurveKind) -> None:
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
    calibrated = Calibrated(model, curve, fitted(curve, Validated(rows.y, plain)))
    said = calibrated.predict_proba(rows.x)
    assert said[:, 1].tolist() == calibrated_by(curve, calibrated.numbers, plain).tolist()
    assert np.allclose(said.sum(axis=1), 1)
    kept = skops.io.dumps(calibrated)
    assert set(skops.io.get_untrusted_types(data=kept)) <= TRUSTED
    again = skops.io.loads(kept, trusted=sorted(TRUSTED))
    assert again.predict_proba(rows.x).tolist() == said.tolist()
    assert like(calibrated, "another").model == "another"
    assert like(model, "another") == "another"
