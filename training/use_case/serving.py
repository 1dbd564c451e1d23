"""Declaration of a use case's endpoint: its responses, its hooks, and its lookup of features."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from lakehouse.declaration import Declaration
from scoring.encodings import UnknownCategories
from scoring.estimators.calibration_curve import CalibrationChoice as Calibration
from training.evaluation.threshold import UNTUNED_THRESHOLD, ThresholdRule
from training.use_case.rollout import RolloutPlan

HOOK = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"  # package.module:function


class RequestLogging(Declaration):
    """Request log of an endpoint: the share of logged requests, and columns whose values are never written.

    Attributes:
        sampling: share of the requests that are logged.
        redact: raw fields whose values are never written.
    """

    sampling: float = Field(default=1.0, gt=0, le=1)
    redact: tuple[str, ...] = ()


class LookupByKey(Declaration):
    """Requests with the keys of an entity: features come from the online tables, unless the request has them.

    A key that is not in a table is refused, or predicted with `defaults`: raw columns, null if not listed.

    Attributes:
        unknown: `refuse` refuses a key that no table has; `defaults` predicts it with the values below.
        defaults: value of each raw column for such a key; null if it is not listed.
    """

    unknown: Literal["refuse", "defaults"] = "refuse"
    defaults: dict[str, Any] = Field(default_factory=dict)


class ServingPlan(Declaration):
    """The endpoint, the fields of a response, and the hooks before and after the model.

    A hook is a function in a module of its own: `preprocess` turns a caller's record into the columns of the model,
    `postprocess` turns a prediction and that record into the response.

    Attributes:
        endpoint: name of the endpoint.
        fields: fields of a response, such as `label` and `probability`; the default depends on the task.
        preprocess: hook before the model, as `module:function`.
        postprocess: hook after the model, as `module:function`.
        lookup: answers requests that have only the key of an entity.
        request_log: which requests are logged for `monitor`.
        threshold: decision threshold, the least probability of label 1: a number, or a rule that tunes it on
            validation rows.
        unknown_categories: how a request's unknown categories are treated: `refuse`, or as `missing`.
        calibration: calibration curve of the probabilities; `auto` chooses a curve that helps on validation rows, or
            none.
        rollout: gradual move of the traffic to a new champion; null moves all of it at once.
    """

    endpoint: str = Field(pattern=r"^[a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?$", max_length=63)
    fields: tuple[str, ...] | None = Field(default=None, min_length=1)
    threshold: Annotated[
        Annotated[float, Field(gt=0, lt=1), Tag("number")] | Annotated[ThresholdRule, Tag("rule")],
        Discriminator(lambda value: "rule" if isinstance(value, Mapping | ThresholdRule) else "number"),
    ] = UNTUNED_THRESHOLD
    calibration: Calibration = "none"
    preprocess: str | None = Field(default=None, pattern=HOOK)
    postprocess: str | None = Field(default=None, pattern=HOOK)
    lookup: LookupByKey | None = None
    unknown_categories: UnknownCategories = "refuse"
    request_log: RequestLogging = RequestLogging()
    rollout: RolloutPlan | None = None

    @model_validator(mode="after")
    def _lookup_fits(self) -> Self:
        if self.lookup and self.preprocess:
            raise ValueError("lookup and preprocess exclude each other: a hook would not receive the features")
        if self.lookup and self.lookup.defaults and self.lookup.unknown == "refuse":
            raise ValueError("lookup.defaults need lookup.unknown: defaults")
        return self

    @property
    def untuned_threshold(self) -> float:
        """The threshold of trials, before tuning."""
        return UNTUNED_THRESHOLD if isinstance(self.threshold, ThresholdRule) else self.threshold
