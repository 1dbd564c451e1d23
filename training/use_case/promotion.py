"""What a challenger must show before it serves, as a use-case file says it."""

from typing import Literal

from pydantic import Field, field_validator

from lakehouse.declaration import Declaration, known_word
from training.evaluation.metrics import METRICS, Task


class GuardLimits(Declaration):
    """Limits that hold beside the metric; a limit that is not set guards nothing.

    Attributes:
        max_calibration_error: expected calibration error of the challenger, 0 to 1.
        max_changed_decisions: share of the rows on which the two versions decide differently.
        slices: feature columns with few values; each value is a slice of the holdout.
        min_slice_rows: smaller slices are not judged.
        max_slice_drop: by how much the challenger's metric may be worse than the champion's on a slice.
        max_p99_ms: 99th percentile of the time of one answer, in this process, in milliseconds.
        max_size_mb: the files of the version, in 10^6 bytes.
        input_schema: `compatible`: whoever calls the champion can call the challenger.
    """

    max_calibration_error: float | None = Field(default=None, gt=0, le=1)
    max_changed_decisions: float | None = Field(default=None, ge=0, le=1)
    slices: tuple[str, ...] = ()
    min_slice_rows: int = Field(default=200, ge=1)
    max_slice_drop: float = Field(default=0.03, ge=0)
    max_p99_ms: float | None = Field(default=None, gt=0)
    max_size_mb: float | None = Field(default=None, gt=0)
    input_schema: Literal["compatible", "any"] = "compatible"

    def unfit(self, task: Task) -> str:
        """A limit that is set, and that a task of this kind can never be held to; empty where there is none.

        >>> GuardLimits(max_calibration_error=0.1).unfit("regression"), GuardLimits(max_size_mb=9).unfit("regression")
        ('max_calibration_error', '')
        """
        of_classes = {
            "max_calibration_error": self.max_calibration_error,
            "max_changed_decisions": self.max_changed_decisions,
        }
        return next((name for name, limit in of_classes.items() if task == "regression" and limit is not None), "")


class PromotionCriteria(Declaration):
    """What a challenger must show on the holdout before it serves.

    Attributes:
        metric: by which the two are compared.
        minimum: what the challenger must reach in any case; for a loss, what it must not exceed.
        test: `non_inferiority`: not worse than the champion by `margin`; `superiority`: better by more than it.
        margin: in units of the metric.
        confidence: of the one-sided interval that must lie beyond the margin; 500 draws cannot say more than 0.995.
        min_rows: a holdout of fewer rows decides nothing.
        overlap: what becomes of holdout rows that the champion was trained on.
        approval: `manual`: a person must approve the version, after the champion's last change.
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
