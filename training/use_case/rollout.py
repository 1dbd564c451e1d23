"""Declaration of a rollout: its steps, how long each is watched, and the limits at which it is rolled back."""

from typing import Self

from pydantic import Field, model_validator

from lakehouse.declaration import Declaration


class RolloutPlan(Declaration):
    """Steps of a rollout, and its limits. The defaults fit an endpoint with some requests a minute.

    Attributes:
        steps: shares of traffic of the new version, in per cent; each is watched for a bake. An empty list moves all
            traffic at once, after the golden rows.
        bake_minutes: length of a bake.
        warm_up_seconds: time at the start of a bake in which response times do not count; errors always do.
        min_requests: requests that the new version must have had at the end of a bake.
        max_extensions: times that a bake with fewer requests is repeated before the rollout pauses.
        alpha: probability that a version as good as the stable one is rolled back, over all tests of a rollout.
        max_error_rate: share of failed requests (status 5xx) that is never accepted.
        tolerated_ms: response time in milliseconds that is never too slow, whatever the stable version takes.
        max_p99_ms: response time in milliseconds that 99 % of requests must meet; null for no limit.
        shadow: before the first step, mirror requests to the new version for a bake; the stable one answers.
        max_prediction_distance: largest distance between the predictions of the two versions, from 0 to 1 (for
            numbers Kolmogorov-Smirnov, for classes total variation); null to report it only.
        poll_seconds: time between two readings of the metrics.
    """

    steps: tuple[int, ...] = (10, 50)
    bake_minutes: float = Field(default=10.0, gt=0, le=10_080)
    warm_up_seconds: float = Field(default=30.0, ge=0, le=3600)
    min_requests: int = Field(default=100, ge=1)
    max_extensions: int = Field(default=1, ge=0, le=100)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    max_error_rate: float = Field(default=0.05, gt=0, lt=1)
    tolerated_ms: float = Field(default=5.0, ge=0)
    max_p99_ms: float | None = Field(default=2000.0, gt=0)
    shadow: bool = False
    max_prediction_distance: float | None = Field(default=None, gt=0, lt=1)
    poll_seconds: float = Field(default=10.0, ge=0.05, le=30)

    @model_validator(mode="after")
    def _steps_and_times_fit(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or not all(0 < step < 100 for step in self.steps):
            raise ValueError(f"steps must rise from 1 to 99 per cent, not {list(self.steps)}; 100 follows by itself")
        if self.warm_up_seconds >= self.bake_seconds:
            raise ValueError(f"warm_up_seconds must be less than the bake, which takes {self.bake_seconds:g} seconds")
        return self

    @property
    def bake_seconds(self) -> float:
        return self.bake_minutes * 60
