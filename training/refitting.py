"""The stage of training that makes a version of the winner: fitted on all rows, calibrated, its threshold tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sklearn.pipeline import Pipeline

from lakehouse import console
from scoring.encoder import MatrixFormat
from scoring.scorer import Scorer, predict
from training.calibration import UNCALIBRATED, Calibration, Validated, calibrate, pooled
from training.frame import TrainingFrame
from training.models import FAMILIES
from training.search.trial import Trial, fit
from training.splitting import Fold, folds
from training.threshold import Rule, tuned
from training.use_case import UseCase


@dataclass(frozen=True)
class Refitted:
    """What is registered.

    Attributes:
        scorer: the winner, fitted on all rows before the holdout.
        told: how it came to its probabilities and decisions, in sentences; empty where it is as the use case says.
        measured: the same as numbers.
        apart: the winner fitted on each fold's rows alone, uncalibrated; empty where nothing was found on the folds.
    """

    scorer: Scorer
    told: tuple[str, ...] = ()
    measured: Mapping[str, float] = field(default_factory=dict)
    apart: tuple[Pipeline, ...] = ()


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
    if serving.calibration == "none" and not isinstance(serving.threshold, Rule):
        return Refitted(scorer)
    cut = list(folds(frame, use_case.split, use_case.search.seed))
    apart = tuple(fit(winner.candidate, fold.fit, use_case.search.seed) for fold in cut)
    parts = out_of_fold(apart, cut, takes)
    calibration, told = UNCALIBRATED, list[str]()
    if serving.calibration != "none":
        calibration = calibrate(serving.calibration, parts, in_time=use_case.split.in_time)
        told.append(calibration.told)
    threshold = use_case.answering.threshold
    if isinstance(serving.threshold, Rule):
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
