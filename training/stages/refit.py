"""Stage 3: refit the winner on all training rows, calibrate it, and tune its decision threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sklearn.pipeline import Pipeline

from lakehouse import console
from scoring.encoder import MatrixFormat
from scoring.scorer import Scorer
from training.evaluation.calibration import UNCALIBRATED, Calibration, FoldPredictions, calibrate, pooled
from training.evaluation.threshold import ThresholdRule, tune
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold, folds
from training.models import FAMILIES
from training.search.fitting import fit
from training.search.trial import Trial
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class Refitted:
    """The model to register.

    Attributes:
        scorer: the winner, fitted on all training rows.
        notes: results of calibration and threshold tuning, one line each; empty without both.
        metrics: the same results as numbers.
        fold_pipelines: the winner fitted on each fold, uncalibrated; empty if nothing needed them.
    """

    scorer: Scorer
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    fold_pipelines: tuple[Pipeline, ...] = ()


def refit(use_case: UseCase, winner: Trial, frame: TrainingFrame) -> Refitted:
    """Refit the winner on all training rows.

    Calibration and threshold use out-of-fold predictions of validation rows: never training rows of the model, and
    never the holdout.
    """
    console.stage(f"Refitting trial {winner.number} ({winner.candidate.family}) on all {len(frame):,} training rows")
    serving, matrix_format = use_case.serving, FAMILIES[winner.candidate.family].matrix_format
    pipeline = fit(winner.candidate, frame, use_case.search.seed)
    encoder = replace(frame.encoder, unknown_categories=serving.unknown_categories)
    scorer = Scorer(pipeline, encoder, use_case.response_format, use_case.hooks(), matrix_format)
    if serving.calibration == "none" and not isinstance(serving.threshold, ThresholdRule):
        return Refitted(scorer)
    parts = list(folds(frame, use_case.split, use_case.search.seed))
    fold_pipelines: tuple[Pipeline, ...] = ()
    if (kept := winner.predictions_of(parts)) is None:
        fold_pipelines = tuple(fit(winner.candidate, fold.fit, use_case.search.seed) for fold in parts)
        predictions = out_of_fold_predictions(fold_pipelines, parts, matrix_format)
    else:
        predictions = [
            FoldPredictions(fold.validate.y, predicted, fold.validate.dependence)
            for fold, predicted in zip(parts, kept, strict=True)
        ]
    calibration, notes = UNCALIBRATED, list[str]()
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
    return Refitted(finished, tuple(notes), _metrics(calibration, threshold), fold_pipelines)


def out_of_fold_predictions(
    fold_pipelines: Sequence[Pipeline], parts: Sequence[Fold], matrix_format: MatrixFormat
) -> list[FoldPredictions]:
    """Predict the validation rows of each fold with the pipeline that was fitted on the fold."""
    return [
        FoldPredictions(
            fold.validate.y,
            fold.validate.task.predict(pipeline, fold.validate.inputs(matrix_format)),
            fold.validate.dependence,
        )
        for pipeline, fold in zip(fold_pipelines, parts, strict=True)
    ]


def _metrics(calibration: Calibration, threshold: float) -> dict[str, float]:
    gains = {f"calibration_gain_{curve}": gain.pooled.value for curve, gain in calibration.gains.items()}
    return {"threshold": threshold, **gains}
