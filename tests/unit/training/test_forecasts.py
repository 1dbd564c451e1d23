"""The task `forecast`: metrics, bounds, the declared columns, and what a use case refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scoring.estimators.blend import Blend
from scoring.tasks import FORECAST
from tests.unit.frames import by_time
from tests.unit.points import POINTS, rows_of
from training.evaluation.calibration import FoldPredictions
from training.evaluation.forecast_bounds import FEWEST_ERRORS, residual_bounds
from training.evaluation.metrics import evaluate, metrics_of
from training.evaluation.weighted_metrics import ScoredRows, weighted_metric
from training.frame.forecasts import forecast_indices, in_scales, require_forecast_columns
from training.frame.refusals import FrameRefused
from training.frame.splits import folds
from training.population.forecast_losses import losses_of, sums_of
from training.search.fitting import fit
from training.space.joint_space import Candidate
from training.stages.conformal import with_conformal_bounds
from training.stages.final_model import bag_of
from training.use_case.forecast import ForecastColumns
from training.use_case.use_case import UseCase, load

LABELS = np.asarray([10.0, 0.0, 4.0, 0.0])
FORECASTS = np.asarray(
    [[8.0, 6.0, 9.0, 2.0], [0.0, 0.0, 1.0, 1.0], [6.0, 4.0, 8.0, 4.0], [1.0, 0.5, 2.0, 1.0]]
)  # value, lower, upper, scale


def test_metrics_of_forecasts_follow_their_definitions() -> None:
    found = evaluate(FORECAST, LABELS, FORECASTS, 0.5)
    assert list(found) == metrics_of(FORECAST)
    assert found["mae"] == (2 + 0 + 2 + 1) / 4
    assert found["mase"] == (1 + 0 + 0.5 + 1) / 4
    assert found["smape"] == pytest.approx((4 / 18 + 0 + 4 / 10 + 2) / 4)
    lower = (0.1 * 4 / 2 + 0 + 0 + 0.9 * 0.5) / 4
    upper = (0.9 * 1 / 2 + 0.1 * 1 + 0.1 * 4 / 4 + 0.1 * 2) / 4
    assert found["pinball"] == pytest.approx((lower + upper) / 2)


@pytest.mark.parametrize("metric", metrics_of(FORECAST))
def test_a_metric_of_draws_is_that_of_the_copied_rows(metric: str) -> None:
    rows, counts = ScoredRows(LABELS, FORECASTS, 0.5), np.asarray([2, 0, 1, 3])
    copied = rows.take(np.repeat(np.arange(4), counts))
    assert weighted_metric(metric, rows)(counts) == pytest.approx(copied.metric(metric))
    assert np.isnan(weighted_metric(metric, rows)(np.zeros(4, dtype=np.int64)))


def test_only_finite_numbers_within_their_bounds_are_valid() -> None:
    assert FORECAST.count_valid(FORECASTS, LABELS) == 4
    wrong = FORECASTS.copy()
    wrong[0, 1], wrong[1, 3], wrong[2, 0] = 8.5, 0.0, np.nan
    assert FORECAST.count_valid(wrong, LABELS) == 1
    assert FORECAST.count_valid(FORECASTS[:, 0], LABELS) == 0


def test_bounds_cover_new_errors_at_each_step_as_often_as_they_say() -> None:
    draw = np.random.default_rng(0)
    steps = np.tile(np.arange(3), 2_000)
    lower, upper = residual_bounds(draw.gamma(2, 1 + steps) - 2 * (1 + steps), steps)
    assert (np.diff(upper) > 0.5).all(), "later steps are less certain"
    fresh = draw.gamma(2, 1 + steps) - 2 * (1 + steps)
    for step in range(3):
        inside = (lower[step] <= fresh[steps == step]) & (fresh[steps == step] <= upper[step])
        assert inside.mean() == pytest.approx(0.8, abs=0.03)


def test_a_step_of_few_errors_takes_the_bounds_of_all_steps() -> None:
    few = FEWEST_ERRORS - 1
    errors = np.concatenate([np.linspace(-1, 1, 200), np.full(few, 50.0)])
    lower, upper = residual_bounds(errors, np.repeat([0, 1], [200, few]))
    assert (lower[1], upper[1]) == (np.sort(errors)[21], np.sort(errors)[197])
    assert upper[0] < 1


def test_bounds_of_errors_of_one_sign_include_the_value() -> None:
    lower, upper = residual_bounds(np.full(50, 3.0), np.zeros(50))
    assert (lower.tolist(), upper.tolist()) == ([0.0], [3.0])


def test_a_bag_has_the_bounds_of_its_models() -> None:
    rows = rows_of("forecast")
    candidate = Candidate("ridge", dict(POINTS)["ridge"])
    parts = list(folds(rows, by_time(folds=2), 0))
    models = [fit(candidate, part.fit, 0) for part in parts]
    predictions = [
        FoldPredictions(part.validate.y, FORECAST.predict(model, part.validate.inputs("sparse")))
        for part, model in zip(parts, models, strict=True)
    ]
    for pipeline in (fit(candidate, rows, 0), bag_of(models, candidate, rows)):
        bounded, note = with_conformal_bounds(pipeline, parts, predictions, "known_is_missing")
        matrix = rows.inputs("dense" if isinstance(bounded.steps[-1][1], Blend) else "sparse")
        before, after = FORECAST.predict(pipeline, matrix), FORECAST.predict(bounded, matrix)
        np.testing.assert_allclose(after[:, [0, 3]], before[:, [0, 3]], rtol=1e-12)
        margins = (after[:, 2] - after[:, 0]) / after[:, 3]
        assert margins == pytest.approx(np.full(len(rows), margins[0]))
        assert note.startswith("Bounds: 80% of the values")


def test_labels_are_learned_in_scales_above_the_level() -> None:
    rows = rows_of("forecast")
    assert rows.forecast is not None
    scaled = in_scales(rows, rows.forecast)
    expected = (rows.y - rows.features["amount"]) / rows.features["known"]
    np.testing.assert_allclose(scaled.y, expected)
    assert str(scaled.task) == "regression"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"level": "amuont"},
            r"`forecast.level` names the feature amuont, which no table has. Did you mean 'amount'",
        ),
        ({"scale": "amount"}, r"`forecast.scale` names the feature amount, which must be above 0, and is not in \d+"),
        ({"step": "amount"}, r"`forecast.step` .* must be 0 or more"),
    ],
)
def test_columns_that_describe_no_series_are_refused(changes: dict[str, str], message: str) -> None:
    rows = rows_of("forecast")
    assert rows.forecast is not None
    features = {**rows.features, "amount": rows.features["amount"] - 5}
    with pytest.raises(FrameRefused, match=message):
        require_forecast_columns(rows.forecast.model_copy(update=changes), features)


def test_a_constant_scale_is_refused_with_the_reason() -> None:
    rows = rows_of("forecast")
    without = replace(rows.encoder, features=tuple(name for name in rows.encoder.features if name != "known"))
    declared = ForecastColumns(level="amount", scale="known", season="amount", step="known_is_missing")
    with pytest.raises(FrameRefused, match="one value on all training rows"):
        forecast_indices(replace(rows, encoder=without), declared, "dense")


def declared(**changes: Any) -> dict[str, Any]:
    return load("regional_revenue").model_dump(exclude_unset=True) | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forecast": None}, "forecast must name the features level, scale, season and step"),
        ({"task": "regression"}, "(seasonal_naive|mase)"),
        ({"serving": {"endpoint": "a", "fields": ["value", "median"]}}, "field of a forecast response"),
        ({"monitoring": {"labels": {"table": "gold.a", "column": "b"}}}, "labels need request_id, or entity"),
    ],
)
def test_a_use_case_says_what_a_forecast_lacks(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UseCase.model_validate(declared(**changes))


def test_a_response_has_the_value_its_bounds_and_its_scale() -> None:
    assert load("regional_revenue").response_format.responses(FORECASTS[:1]) == [
        {"value": 8.0, "lower": 6.0, "upper": 9.0, "scale": 2.0}
    ]


def test_losses_add_up_to_the_metrics_and_the_coverage() -> None:
    sums = sums_of(LABELS, FORECASTS)
    for name, (rows, losses, _) in sums.items():
        expected = 1 / 2 if name == "outside" else evaluate(FORECAST, LABELS, FORECASTS, 0.5)[name]
        assert (rows, losses / rows) == (4, pytest.approx(expected))


def test_a_forecast_without_a_label_or_a_scale_has_no_loss() -> None:
    labels, forecasts = LABELS.copy(), FORECASTS.copy()
    labels[0], forecasts[1, 3], forecasts[2, 1] = np.nan, 0.0, np.inf
    assert [np.isfinite(each).tolist() for each in losses_of(labels, forecasts).values()] == [
        [False, False, False, True]
    ] * 4


def test_only_the_key_of_a_forecast_names_a_label_without_a_time() -> None:
    labels = {"table": "gold.outcomes", "column": "churned", "entity": ["customer_id"]}
    with pytest.raises(ValueError, match=r"monitoring\.labels need request_id, or entity and timestamp"):
        UseCase.model_validate(load("churn").model_dump(exclude_unset=True) | {"monitoring": {"labels": labels}})
