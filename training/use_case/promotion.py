"""Declaration of a use case's promotion: the criteria of the gate."""

from typing import Literal

from pydantic import Field, field_validator

from lakehouse.declaration import Declaration, known_word
from scoring.tasks import Task
from training.evaluation.metrics import METRICS


class GuardLimits(Declaration):
    """Limits in addition to the metric; a limit that is not set is not checked.

    Attributes:
        max_calibration_error: largest expected calibration error of the challenger, 0 to 1.
        max_changed_decisions: largest share of rows on which the decisions of the two versions differ.
        slices: feature columns with few values; each value is a slice of the holdout.
        min_slice_rows: smallest size of a slice; smaller slices are ignored.
        max_slice_drop: largest loss of the metric on a slice, from champion to challenger. A larger loss refuses if
            it is no chance result: over all slices, an equal model is refused with at most `1 - confidence`.
        max_p99_ms: largest 99th percentile of the time of one prediction in the gate's process, in milliseconds.
        max_size_mb: largest size of the version's files, in 10^6 bytes.
        input_schema: `compatible` if callers of the champion must be able to call the challenger; else `any`.
    """

    max_calibration_error: float | None = Field(default=None, gt=0, le=1)
    max_changed_decisions: float | None = Field(default=None, ge=0, le=1)
    slices: tuple[str, ...] = ()
    min_slice_rows: int = Field(default=200, ge=1)
    max_slice_drop: float = Field(default=0.03, ge=0)
    max_p99_ms: float | None = Field(default=None, gt=0)
    max_size_mb: float | None = Field(default=None, gt=0)
    input_schema: Literal["compatible", "any"] = "compatible"

    def inapplicable_limit(self, task: Task) -> str:
        """A limit that is set and cannot be measured for the task; empty if there is none.

        >>> from scoring.tasks import REGRESSION
        >>> GuardLimits(max_calibration_error=0.1).inapplicable_limit(REGRESSION)
        'max_calibration_error'
        >>> GuardLimits(max_size_mb=9).inapplicable_limit(REGRESSION)
        ''
        """
        classification_only = {
            "max_calibration_error": self.max_calibration_error,
            "max_changed_decisions": self.max_changed_decisions,
        }
        return next(
            (name for name, limit in classification_only.items() if not task.predicts_classes and limit is not None),
            "",
        )


class PromotionCriteria(Declaration):
    """Criteria that a challenger must meet on the holdout before it serves.

    Attributes:
        guards: limits beside the metric.
        metric: metric that compares champion and challenger.
        minimum: smallest value of the metric, with or without a champion; for a loss, the largest value.
        test: `non_inferiority`: worse than the champion by less than `margin`; `superiority`: better by more than
            `margin`.
        margin: margin of the test, in units of the metric.
        confidence: 1 minus the error rate of all comparisons on the same rows; each one spends a part of it.
        min_rows: smallest holdout that allows a decision.
        overlap: treatment of holdout rows that are training rows of the champion.
        approval: `manual` if a person must approve the version, after the champion's last change.
    """

    metric: str = Field(default="roc_auc", json_schema_extra={"enum": [*METRICS]})
    minimum: float
    test: Literal["non_inferiority", "superiority"] = "non_inferiority"
    margin: float = Field(default=0.005, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, le=0.995)
    min_rows: int = Field(default=100, ge=1)
    overlap: Literal["exclude", "refuse"] = "exclude"
    approval: Literal["none", "manual"] = "none"
    guards: GuardLimits = GuardLimits()

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        return known_word("metric", metric, list(METRICS))
