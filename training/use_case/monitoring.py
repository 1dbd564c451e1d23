"""Declaration of a use case's monitoring: windows, slices, limits, labels, and the action for each finding."""

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lakehouse.declaration import Declaration

MonitoringAction = Literal["nothing", "alert", "retrain", "roll_back"]
# At most 32 years: a multiple of it still is a time.
LENGTH = r"^([1-9][0-9]{0,3}d|[1-9][0-9]{0,4}h|[1-9][0-9]{0,6}m|[1-9][0-9]{0,8}s)$"
SHARE = r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?%$"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_length(text: str) -> timedelta:
    """A length of time such as `1d`, `6h`, `30m` or `10s`.

    Raises:
        ValueError: the text has another form.

    >>> parse_length("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if not re.match(LENGTH, text):
        raise ValueError(f"'{text}' is not a length of time; examples: 1d, 6h, 30m, 10s")
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def parse_share(text: str) -> float:
    """A percentage as a share.

    Raises:
        ValueError: the text has another form.

    >>> parse_share("5%"), parse_share("0.5%")
    (0.05, 0.005)
    """
    if not re.match(SHARE, text):
        raise ValueError(f"'{text}' is no percentage; examples: 5%, 0.5%")
    return float(text[:-1]) / 100


class LabelSource(Declaration):
    """Table of labels that arrive after the predictions.

    Attributes:
        table: table or view with the labels, such as `gold.term_deposit_labels`.
        column: column with the label.
        request_id: column with the `client_request_id` of the request. Without it, a record's key fields name the
            entity, and its label is in the first row at or after the request.
        entity: key columns of the table, which are also fields of a request; not used with `request_id`.
        timestamp: time of a label row. Without it and `request_id`, the key names the label: region and day of a
            forecast, whatever the time of the request.
        within: longest time from a request to its label row.
        known_at: column with the time a label arrived; labels that arrive after the end of the run do not count.
    """

    table: str
    column: str
    request_id: str | None = None
    entity: tuple[str, ...] = ()
    timestamp: str | None = None
    within: str = Field(default="90d", pattern=LENGTH)
    known_at: str | None = None

    @model_validator(mode="after")
    def _joins(self) -> Self:
        if self.request_id is None and not self.entity:
            raise ValueError("labels need request_id, or entity, to find the request of a label")
        if self.request_id is not None and self.entity:
            raise ValueError("labels take either request_id or entity, not both")
        return self

    @property
    def is_named_by_key(self) -> bool:
        """True if the key alone names the label, as that of a forecast does."""
        return self.request_id is None and self.timestamp is None


class ActionTable(Declaration):
    """The decision table: the action for each kind of finding that two windows in a row confirm.

    An estimate of the performance is no measurement: it may alert, and nothing else.

    Attributes:
        drift: inputs of a window differ from the population.
        prediction_drift: predictions differ.
        slice_drift: inputs differ within a slice.
        missing: more values of an input are missing.
        unknown: more categories are unknown.
        out_of_range: more numbers are outside the known range.
        errors: too many requests end with a status of 5xx.
        refused: too many requests end with a status of 4xx.
        latency: requests take too long.
        performance: the promotion metric is worse by more than `max_drop`.
        coverage: fewer labels are within the bounds of a forecast, by more than `max_coverage_drop`.
        estimated_performance: the performance, estimated from the predictions alone.
    """

    drift: MonitoringAction = "alert"
    prediction_drift: MonitoringAction = "alert"
    slice_drift: MonitoringAction = "alert"
    missing: MonitoringAction = "alert"
    unknown: MonitoringAction = "alert"
    out_of_range: MonitoringAction = "alert"
    errors: MonitoringAction = "alert"
    refused: MonitoringAction = "alert"
    latency: MonitoringAction = "alert"
    performance: MonitoringAction = "retrain"
    coverage: MonitoringAction = "alert"
    estimated_performance: Literal["nothing", "alert"] = "nothing"


NonNegative = Annotated[float, Field(ge=0)]
Percentage = Annotated[str, Field(pattern=SHARE)]


class MonitoringPlan(Declaration):
    """Limits and tests of `monitor`, and the actions that follow.

    Attributes:
        window: length of a window; windows start at multiples of it, counted from 1970 in UTC.
        min_rows: smallest window (of a slice too) that is tested; smaller ones are only shown.
        false_alarms: greatest share of quiet windows with a finding, over all tests of a window together.
        min_effect: smallest population stability index of a drift finding; large windows make tiny shifts certain.
        reference: rows with which traffic is compared: the `holdout` on which the gate judged the version, or the
            `training` rows.
        slices: inputs with few categories, and cohorts, within which drift is tested as well.
        max_error_share: greatest share of requests with a status of 5xx.
        max_refused_share: greatest share of requests with a status of 4xx.
        max_p99_ms: greatest 99th percentile of the time of a request; not tested if absent.
        max_drop: accepted loss of the promotion metric against the holdout: a number in units of the metric, such as
            `0.02`, or a share of the value on the holdout, such as `5%`. Default: 0.02 of a metric between 0 and 1,
            10% of an error without an upper bound (`mse`: 20%).
        max_coverage_drop: accepted loss of the share of labels within the bounds of a forecast, against the holdout.
        labels: where labels that arrive later are found.
        actions: the action for each kind of finding.
        alerts: file that gets each alert as a line of JSON, below the project folder.
        cooldown: time in which an action is not repeated for the same version.
    """

    window: str = Field(default="1d", pattern=LENGTH)
    min_rows: int = Field(default=200, ge=20)
    false_alarms: float = Field(default=0.05, gt=0, le=0.2)
    min_effect: float = Field(default=0.01, ge=0, le=1)
    reference: Literal["holdout", "training"] = "holdout"
    slices: tuple[str, ...] = ()
    max_error_share: float = Field(default=0.01, ge=0, lt=1)
    max_refused_share: float = Field(default=0.05, ge=0, lt=1)
    max_p99_ms: float | None = Field(default=None, gt=0)
    max_drop: NonNegative | Percentage | None = None
    max_coverage_drop: float = Field(default=0.05, ge=0, lt=1)
    labels: LabelSource | None = None
    actions: ActionTable = ActionTable()
    alerts: str | None = None
    cooldown: str = Field(default="7d", pattern=LENGTH)

    @field_validator("alerts")
    @classmethod
    def _alerts_stay_in_the_project(cls, alerts: str | None) -> str | None:
        if alerts is not None and (alerts.startswith("/") or ".." in alerts.split("/")):
            raise ValueError("alerts is a path below the project folder, such as alerts/churn.jsonl")
        return alerts
