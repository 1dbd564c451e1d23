"""Fitting a candidate's pipeline, for trials and for the refit."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from lakehouse.arrays import Floats
from scoring.estimators.blend import Blend
from scoring.estimators.column_subset import ColumnSubset
from scoring.estimators.early_stopping import VALIDATION_SHARE, EarlyStoppingBooster, first_validation_row
from scoring.estimators.stack import Stack
from scoring.forecasts.forecaster import Forecaster
from scoring.predictions import side_by_side
from training.evaluation.forecast_bounds import residual_bounds
from training.frame.drawing import draw_rows, sample
from training.frame.forecasts import forecast_indices, in_scales
from training.frame.frame import TrainingFrame
from training.frame.raw_inputs import empty_features, with_features, without
from training.models import FAMILIES
from training.models.family import DataFacts, Family
from training.models.missing_values import with_imputer
from training.networks.learner import NetworkLearner
from training.networks.rungs import RungWatch
from training.search.ensemble_candidates import BLEND, STACK, Members, blend_members, stack_layers
from training.search.pruning.watch_in_scales import WatchInScales
from training.space.joint_space import Candidate
from training.space.left_out_inputs import hyperparameters, left_out_inputs
from training.space.space import Params
from training.use_case.forecast import ForecastColumns

ENSEMBLES = frozenset({BLEND, STACK})
SAMPLE_ROWS = "sample_rows"  # parameter of a candidate that is fitted on so many rows, drawn at random


def fit(
    candidate: Candidate,
    frame: TrainingFrame,
    seed: int,
    watch: RungWatch | None = None,
    deadline: float | None = None,
) -> Pipeline:
    """Fit the candidate's pipeline on the frame; the pipeline selects the inputs that it keeps from complete rows.

    It also leaves out features that are missing in every row of the frame: some learners fail on them.

    Args:
        watch: follows the fit of a network.
        deadline: time of `monotonic` after which the fit of a booster ends.

    Raises:
        ValueError: the candidate leaves out every input, or the frame lacks predictions from which a stack learns.
        FitStopped: the watch stops the fit.
        FitOutOfTime: the deadline is over.
    """
    if candidate.family in ENSEMBLES:
        return _Fits(frame, seed).of(candidate)
    if frame.task.declares_forecast:
        return _forecaster(candidate, frame, seed, watch, deadline)
    family, params = FAMILIES[candidate.family], dict(hyperparameters(candidate.params))
    if (rows := params.pop(SAMPLE_ROWS, None)) is not None:
        frame = frame.rows(sample(frame, int(str(rows)), seed))
    left_out, empty = left_out_inputs(candidate.params), empty_features(frame)
    if not left_out and not empty:
        return _fit(family, params, seed, frame, watch, deadline)
    kept, indices = without(frame, left_out, family.matrix_format, empty)
    return Pipeline([("kept", ColumnSubset(indices)), *_fit(family, params, seed, kept, watch, deadline).steps])


def fit_each(candidates: Iterable[Candidate], frame: TrainingFrame, seed: int) -> list[Pipeline]:
    """Fit several candidates; what several of them contain is fitted once."""
    fits = _Fits(frame, seed)
    return [fits.of(candidate) for candidate in candidates]


def predict(candidate: Candidate, pipeline: Pipeline, frame: TrainingFrame) -> Floats:
    """Predictions of the candidate's fitted pipeline: (rows,) or (rows, classes).

    Raises:
        SparkFailed: the features are on Spark, and an executor cannot predict.
    """
    family = FAMILIES[candidate.family]
    if not family.reads_features:
        return frame.task.predict(pipeline, frame.x)
    return frame.predict(pipeline, family.matrix_format)


def _forecaster(
    candidate: Candidate, frame: TrainingFrame, seed: int, watch: RungWatch | None, deadline: float | None
) -> Pipeline:
    """Fit the candidate on scaled labels. The bounds are those of its errors on the same rows, so too narrow."""
    if frame.forecast is None:
        raise TypeError("the frame of a forecast lacks its columns")
    matrix_format = FAMILIES[candidate.family].matrix_format
    at = forecast_indices(frame, frame.forecast, matrix_format)
    scaled = in_scales(frame, frame.forecast)
    watch_in_scales = None if watch is None else WatchInScales(watch, watch.losses)
    fitted, rows = fit(candidate, scaled, seed, watch_in_scales, deadline), scaled.inputs(matrix_format)
    lower, upper = residual_bounds(scaled.y - fitted.predict(rows), frame.features[frame.forecast.step])
    return Pipeline([("model", Forecaster(fitted, (at.level, at.scale, at.step), lower, upper))])


def fitted_blend(members: Members, fitted: Sequence[Pipeline], frame: TrainingFrame) -> Pipeline:
    """Combine fitted members, each fitted on the frame, into the pipeline of their blend."""
    blend = Blend(
        frame.task.name,
        fitted,
        [FAMILIES[member.family].matrix_format for _, member in members],
        [weight for weight, _ in members],
        dict(frame.encoder.categories()),
    )
    return Pipeline([("model", blend)])


def second_layer(frame: TrainingFrame, bases: Sequence[Candidate]) -> TrainingFrame:
    """The frame with the out-of-fold predictions of the bases as further features, from which a stack learns.

    A blank is in no name of a column of a table, so that no prediction is taken for one.

    Raises:
        ValueError: the frame has no such predictions of a base.
    """
    predicted = side_by_side([frame.out_of_fold_of(base) for base in bases])
    return with_features(frame, {f"prediction {number}": each for number, each in enumerate(predicted.T, start=1)})


class _Fits:
    """Fits on the rows of a frame, each candidate once."""

    def __init__(self, frame: TrainingFrame, seed: int) -> None:
        self._frame, self._seed = frame, seed
        self._fitted = list[tuple[Candidate, Pipeline]]()

    def of(self, candidate: Candidate) -> Pipeline:
        for earlier, pipeline in self._fitted:
            if earlier == candidate:
                return pipeline
        self._fitted.append((candidate, self._fit(candidate)))
        return self._fitted[-1][1]

    def _fit(self, candidate: Candidate) -> Pipeline:
        if members := blend_members(candidate):
            return fitted_blend(members, [self.of(member) for _, member in members], self._frame)
        if (layers := stack_layers(candidate)) is None:
            return fit(candidate, self._frame, self._seed)
        bases, final_estimator = layers
        fitted = [self.of(base) for base in bases]
        final = fit(final_estimator, second_layer(self._frame, bases), self._seed)
        formats = [FAMILIES[base.family].matrix_format for base in bases]
        sizes = dict(self._frame.encoder.categories())
        return Pipeline([("model", Stack(self._frame.task.name, fitted, formats, final, sizes))])


def recency_weights(ages: npt.NDArray[np.float64], half_life_days: object) -> npt.NDArray[np.float64]:
    """Weights of rows, halved with every half-life of their age; 1 for all rows if there is no half-life.

    >>> recency_weights(np.array([0.0, 30.0, 60.0]), 30).tolist()
    [1.0, 0.5, 0.25]
    """
    if half_life_days is None:
        return np.ones_like(ages)
    return np.asarray(np.exp2(-ages / float(str(half_life_days))), dtype=np.float64)


def ages_in_days(frame: TrainingFrame) -> npt.NDArray[np.float64]:
    """(rows,) days from each row to the newest one."""
    return np.asarray((frame.times[-1] - frame.times) / np.timedelta64(1, "D"), dtype=np.float64)


def _fit(  # noqa: PLR0913, PLR0917  (what `fit` takes)
    family: Family,
    params: Params,
    seed: int,
    frame: TrainingFrame,
    watch: RungWatch | None,
    deadline: float | None,
) -> Pipeline:
    """Fit a pipeline of the family on one thread.

    OpenMP threads wait for each other by spinning: on a busy machine two of them took 14 times as long as one.
    """
    encoder = frame.encoder
    places = [at for at, name in enumerate(encoder.features) if name in encoder.text_features]
    categories, terms = encoder.categories(), encoder.term_columns()
    facts = DataFacts(frame.task, len(frame.classes), categories, terms, places, rows=len(frame))
    if frame.forecast is not None:
        facts = replace(facts, **_forecast_columns(frame, frame.forecast))
    if family.fits_on != "process":
        from training.search.spark_fitting import fit_on_spark  # it imports PySpark, and most trials need none

        return fit_on_spark(family, family.build(params, seed, facts), frame, *_marks(family, params, seed, frame))
    options: dict[str, npt.NDArray[Any]] = {}
    if family.accepts_weights:
        weights = recency_weights(ages_in_days(frame), params.get("recency_half_life_days"))
        if (weights != 1).any():  # equal weights change nothing, and cost HistGradientBoosting seconds a column
            options = {"model__sample_weight": weights}
    if family.stops_early and not frame.in_time:
        options["model__validation"] = draw_rows(frame, VALIDATION_SHARE, seed)
    inputs = frame.inputs(family.matrix_format) if family.reads_features else frame.x
    with threadpool_limits(1, user_api="openmp"):
        pipeline = with_imputer(family.build(params, seed, facts), family, frame.encoder)
        learner = pipeline.steps[-1][1]
        if isinstance(learner, NetworkLearner):
            learner.watch = watch
        elif isinstance(learner, EarlyStoppingBooster) and deadline is not None:
            learner.deadline = deadline
        fitted = pipeline.fit(inputs, frame.y, **options)
    return _read_out(fitted)


def _forecast_columns(frame: TrainingFrame, declared: ForecastColumns) -> dict[str, Any]:
    """The facts about a forecast's dense columns, less the columns that the candidate leaves out."""
    columns = {name: at for at, name in enumerate(frame.encoder.number_features)}
    past = () if declared.history is None else declared.history.features
    return {
        "season": columns.get(declared.season),
        "fits": {method: columns[name] for method, name in declared.fits.items() if name in columns},
        "history": tuple(columns.get(name) for name in past),
        "step": columns.get(declared.step),
    }


def _read_out(pipeline: Pipeline) -> Pipeline:
    """The pipeline with the network in place of the learner that fitted it, so that it needs no library."""
    *earlier, (name, model) = pipeline.steps
    return Pipeline([*earlier, (name, model.network_)]) if isinstance(model, NetworkLearner) else pipeline


def _marks(
    family: Family, params: Params, seed: int, frame: TrainingFrame
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Weight of each row, class weights included, and the mark of the rows on which early stopping validates."""
    weights = recency_weights(ages_in_days(frame), params.get("recency_half_life_days"))
    if frame.task.predicts_classes and params["class_weight"]:
        weights = weights * compute_sample_weight("balanced", frame.y)
    if not family.stops_early:
        return weights, np.zeros(len(frame), dtype=np.bool_)
    if not frame.in_time:
        return weights, draw_rows(frame, VALIDATION_SHARE, seed)
    return weights, np.arange(len(frame)) >= first_validation_row(len(frame))
