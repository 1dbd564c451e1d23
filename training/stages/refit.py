"""Stage 3: refit the winner on all training rows, calibrate it, tune its threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sklearn.pipeline import Pipeline

from lakehouse import console
from scoring.encoder import MatrixFormat
from scoring.scorer import Scorer, predict
from training.evaluation.calibration import UNCALIBRATED, Calibration, Validated, calibrate, pooled
from training.evaluation.threshold import ThresholdRule, tuned
from training.frame.frame import TrainingFrame
from training.frame.splits import Fold, folds
from training.models import FAMILIES
from training.search.fitting import fit
from training.search.trial import Trial
from training.use_case.use_case import UseCase


@dataclass(frozen=True)
class Refitted:
    """What is registered.

    Attributes:
        scorer: the winner, fitted on all rows before the holdout.
        notes: how it came to its probabilities and decisions, in sentences; empty where it is as the use case says.
        metrics: the same as numbers.
        fold_pipelines: the winner fitted on each fold's rows alone, uncalibrated; empty where folds decide nothing.
    """

    scorer: Scorer
    notes: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    fold_pipelines: tuple[Pipeline, ...] = ()


def refit(use_case: UseCase, winner: Trial, frame: TrainingFrame) -> Refitted:
    """The winner, fitted on all rows before the holdout.

    Its calibration and its threshold are found on the validation rows of the folds, each predicted by a model that
    had not seen it: not on rows that the model was fitted on, and never on the holdout.
    """
    console.stage(f"Refitting trial {winner.number} ({winner.candidate.family}) on all {len(frame):,} training rows")
    serving, takes = use_case.serving, FAMILIES[winner.candidate.family].takes
    pipeline = fit(winner.candidate, frame, use_case.search.seed)
    encoder = replace(frame.encoder, unknown_categories=serving.unknown_categories)
    scorer = Scorer(pipeline, encoder, use_case.answering, use_case.hooks(), takes)
    if serving.calibration == "none" and not isinstance(serving.threshold, ThresholdRule):
        return Refitted(scorer)
    cut = list(folds(frame, use_case.split, use_case.search.seed))
    apart = tuple(fit(winner.candidate, fold.fit, use_case.search.seed) for fold in cut)
    parts = out_of_fold(apart, cut, takes)
    calibration, told = UNCALIBRATED, list[str]()
    if serving.calibration != "none":
        calibration = calibrate(serving.calibration, parts, in_time=use_case.split.in_time)
        told.append(calibration.told)
    threshold = use_case.answering.threshold
    if isinstance(serving.threshold, ThresholdRule):
        rows = pooled(parts)
        found = tuned(serving.threshold, rows.labels, calibration.along(rows.predicted))
        threshold = found.threshold
        told.append(found.told)
    for sentence in told:
        console.detail(sentence)
    decided = replace(
        scorer,
        pipeline=calibration.applied(pipeline),
        answering=replace(scorer.answering, threshold=threshold),
    )
    return Refitted(decided, tuple(told), _measured(calibration, threshold), apart)


def out_of_fold(apart: Sequence[Pipeline], cut: Sequence[Fold], takes: MatrixFormat) -> list[Validated]:
    """What each pipeline says of the validation rows of its fold, whose other rows it was fitted on."""
    return [
        Validated(fold.validate.y, predict(pipeline, fold.validate.task, fold.validate.inputs(takes)))
        for pipeline, fold in zip(apart, cut, strict=True)
    ]


def _measured(calibration: Calibration, threshold: float) -> dict[str, float]:
    gains = {f"calibration_gain_{curve}": gain.pooled.value for curve, gain in calibration.gains.items()}
    return {"threshold": threshold, **gains}
