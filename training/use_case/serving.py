"""The endpoint of a use case, as its file says it: what an answer is made of, and how features are found."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from lakehouse.declaration import Declaration
from scoring.encoder import UnknownCategories
from scoring.estimators.calibration_curve import CalibrationChoice as Calibration
from training.evaluation.threshold import UNTUNED, ThresholdRule

HOOK = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"  # package.module:function


class RequestLogging(Declaration):
    """Where an endpoint logs its requests: the share of them, and the columns whose values are never written."""

    sampling: float = Field(default=1.0, gt=0, le=1)
    redact: tuple[str, ...] = ()


class LookupByKey(Declaration):
    """The entity's keys suffice; features come from the online tables, and what a request says itself is taken first.

    A key that a table does not have is refused, or answered as `defaults` say: raw columns, null where not named.
    """

    unknown: Literal["refuse", "defaults"] = "refuse"
    defaults: dict[str, Any] = Field(default_factory=dict)


class ServingPlan(Declaration):
    """The endpoint, what an answer is made of, and the use case's own code before and after the model.

    A hook is a function of one module: `preprocess` makes of a caller's record the columns that the model reads,
    `postprocess` of an answer and that record what the caller gets.

    Attributes:
        threshold: from which probability on the label is 1: a number, or how it is tuned on validation rows.
        unknown_categories: of a request's field of any encoding: `refuse` them, or take them as `missing`.
        calibration: the curve that probabilities pass through; `auto`: one that helps on validation rows, or none.
    """

    endpoint: str = Field(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$", max_length=63)
    fields: tuple[str, ...] | None = Field(default=None, min_length=1)
    threshold: Annotated[
        Annotated[float, Field(gt=0, lt=1), Tag("number")] | Annotated[ThresholdRule, Tag("rule")],
        Discriminator(lambda said: "rule" if isinstance(said, Mapping | ThresholdRule) else "number"),
    ] = UNTUNED
    calibration: Calibration = "none"
    preprocess: str | None = Field(default=None, pattern=HOOK)
    postprocess: str | None = Field(default=None, pattern=HOOK)
    lookup: LookupByKey | None = None
    unknown_categories: UnknownCategories = "refuse"
    request_log: RequestLogging = RequestLogging()

    @model_validator(mode="after")
    def _keys_reach_the_lookup(self) -> Self:
        if self.lookup and self.preprocess:
            raise ValueError("lookup and preprocess exclude each other: a hook would not get the features")
        if self.lookup and self.lookup.defaults and self.lookup.unknown == "refuse":
            raise ValueError("lookup.defaults are used where lookup.unknown is defaults")
        return self

    @property
    def before_tuning(self) -> float:
        """The threshold that trials decide by."""
        return UNTUNED if isinstance(self.threshold, ThresholdRule) else self.threshold
