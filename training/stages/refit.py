"""Stage 3: refit the winner on all training rows, calibrate it, and tune its decision threshold or its bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sklearn.pipeline import Pipeline

from lakehouse import console
from lakehouse.arrays import MatrixFormat
from scoring.scorer import Scorer
from training.budget import NO_LIMIT, Budget
from training.evaluation.calibration import UNCALIBRATED, Calibration, FoldPredictions, calibrate, pooled
from training.evaluation.threshold import ThresholdRule, tune
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold, folds
from training.models import FAMILIES
from training.search.fitting import fit
from training.search.result import fit_seconds
from training.search.trial import Trial
from training.stages.conformal import with_conformal_bounds
from training.stages.final_model import final_model
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class Refitted:
    """The model to register.

    Attributes:
        scorer: the winner, fitted on all training rows or as a bag.
        notes: form of the final model, results of calibration and of threshold tuning, one line each.
        metrics: the same results as numbers.
        fold_pipelines: the winner fitted on each fold, uncalibrated; empty if nothing needed them.
    """

    scorer: Scorer
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    fold_pipelines: tuple[Pipeline, ...] = ()


def refit(
    use_case: UseCase,
    winner: Trial,
    frame: TrainingFrame,
    trials: Sequence[Trial] = (),
    budget: Budget = NO_LIMIT,
) -> Refitted:
    """Fit the winner's final model: on all training rows, or as the bag of its folds.

    Args:
        trials: trials of the search, whose durations tell how long the winner takes to fit.
        budget: the time of the training run.

    Calibration and threshold use out-of-fold predictions of validation rows: never training rows of the model, and
    never the holdout.
    """
    console.stage(f"Refitting trial {winner.number} ({winner.candidate.family}) on all {len(frame):,} training rows")
    serving, matrix_format = use_case.serving, FAMILIES[winner.candidate.family].matrix_format
    final = final_model(use_case, winner.candidate, frame, fit_seconds([winner.candidate], trials), budget)
    pipeline, notes = final.pipeline, [final.note] if final.note else []
    encoder = replace(frame.encoder, unknown_categories=serving.unknown_categories)
    scorer = Scorer(pipeline, encoder, use_case.response_format, use_case.hooks(), final.matrix_format)
    forecast = use_case.forecast
    if serving.calibration == "none" and not isinstance(serving.threshold, ThresholdRule) and forecast is None:
        return Refitted(scorer, tuple(notes), final.metrics, final.fold_pipelines)
    parts = list(folds(frame, use_case.split, use_case.search.seed))
    fold_pipelines = final.fold_pipelines
    if (kept := final.predictions or winner.predictions_of(parts)) is None:
        fold_pipelines = fold_pipelines or tuple(
            fit(winner.candidate, fold.fit, use_case.search.seed) for fold in parts
        )
        predictions = out_of_fold_predictions(fold_pipelines, parts, matrix_format)
    else:
        predictions = [
            FoldPredictions(fold.validate.y, predicted, fold.validate.dependence)
            for fold, predicted in zip(parts, kept, strict=True)
        ]
    if forecast is not None:
        pipeline, note = with_conformal_bounds(pipeline, parts, predictions, forecast.step)
        notes.append(note)
        return Refitted(replace(scorer, pipeline=pipeline), tuple(notes), final.metrics, fold_pipelines)
    calibration = UNCALIBRATED
    if serving.calibration != "none":
        calibration = calibrate(serving.calibration, predictions, in_time=use_case.split.in_time)
        notes.append(calibration.summary)
    threshold = use_case.response_format.threshold
    if isinstance(serving.threshold, ThresholdRule):
        rows = pooled(predictions)
        tuned = tune(serving.threshold, rows.labels, calibration.calibrated(rows.predicted))
        threshold = tuned.threshold
        notes.append(tuned.summary)
    finished = replace(
        scorer,
        pipeline=calibration.applied(pipeline),
        response_format=replace(scorer.response_format, threshold=threshold),
    )
    return Refitted(finished, tuple(notes), {**final.metrics, **_metrics(calibration, threshold)}, fold_pipelines)


def out_of_fold_predictions(
    fold_pipelines: Sequence[Pipeline], parts: Sequence[Fold], matrix_format: MatrixFormat
) -> list[FoldPredictions]:
    """Predict the validation rows of each fold with the pipeline that was fitted on the fold."""
    return [
        FoldPredictions(
            fold.validate.y,
            fold.validate.predict(pipeline, matrix_format),
            fold.validate.dependence,
        )
        for pipeline, fold in zip(fold_pipelines, parts, strict=True)
    ]


def _metrics(calibration: Calibration, threshold: float) -> dict[str, float]:
    gains = {f"calibration_gain_{curve}": gain.pooled.value for curve, gain in calibration.gains.items()}
    return {"threshold": threshold, **gains}
