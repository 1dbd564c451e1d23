"""Counts of requests by version, and how they grow from one reading of the metrics to the next. No I/O."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class VersionCounts:
    """Requests of one version.

    Attributes:
        requests: all requests.
        refused: requests with a status of 4xx.
        failed: requests with a status of 5xx.
        within: number of requests answered within each bound, in milliseconds.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    within: Mapping[float, int] = field(default_factory=dict)

    def __add__(self, other: "VersionCounts") -> "VersionCounts":
        bounds = self.within.keys() & other.within.keys() if self.within and other.within else ()
        within = {bound: self.within[bound] + other.within[bound] for bound in sorted(bounds)}
        return VersionCounts(
            self.requests + other.requests,
            self.refused + other.refused,
            self.failed + other.failed,
            within or self.within or other.within,
        )

    def since(self, earlier: "VersionCounts") -> "VersionCounts":
        """Growth since an earlier reading of a counter."""
        within = {bound: max(0, count - earlier.within.get(bound, 0)) for bound, count in self.within.items()}
        return VersionCounts(
            self.requests - earlier.requests, self.refused - earlier.refused, self.failed - earlier.failed, within
        )

    def fell_below(self, earlier: "VersionCounts") -> bool:
        """True if the counter began again, as after a restart of the server."""
        return self.requests < earlier.requests or self.failed < earlier.failed or self.refused < earlier.refused

    def slower_than(self, bound: float) -> int:
        """Number of requests that took longer than a bound, in milliseconds."""
        return max(0, self.answered - self.within[bound])

    @property
    def answered(self) -> int:
        """Number of requests with a response time."""
        return max(self.within.values(), default=0)

    @property
    def bounds(self) -> list[float]:
        """Finite bounds of the response times, in ascending order."""
        return [bound for bound in sorted(self.within) if bound != math.inf]


@dataclass(frozen=True)
class MetricsReading:
    """Counts of each served entity at one moment.

    Attributes:
        entities: counts by name of the served entity.
        minute: None for counters that only grow. Databricks exports the counts of one minute; this is its time.
        mirrored: number of copies of requests by served entity and outcome: `same`, `different`, `failed`, `dropped`.
    """

    entities: Mapping[str, VersionCounts]
    minute: float | None = None
    mirrored: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class StepCounts:
    """Counts of the versions since the start of a step, the same time for all of them.

    Attributes:
        totals: counts by version.
        last: counts of the last reading by version; None before the first.
        minute: minute of the last reading.
        cold: counts of the warm-up, whose response times do not count; None until it has ended.
    """

    totals: Mapping[int, VersionCounts] = field(default_factory=dict)
    last: Mapping[int, VersionCounts] | None = None
    minute: float | None = None
    cold: Mapping[int, VersionCounts] | None = None

    def of(self, version: int | None) -> VersionCounts:
        return self.totals.get(version, VersionCounts()) if version is not None else VersionCounts()

    def timed(self, version: int | None) -> VersionCounts:
        """Counts of a version since the end of the warm-up."""
        if self.cold is None or version is None:
            return VersionCounts()
        return self.of(version).since(self.cold.get(version, VersionCounts()))

    def warmed_up(self) -> "StepCounts":
        """The counts with the warm-up behind them."""
        return self if self.cold is not None else replace(self, cold=self.totals)

    def extended(self, reading: MetricsReading, entities: Mapping[int, str]) -> "StepCounts":
        """The interval after another reading. The first reading of a counter only starts the interval.

        Args:
            reading: counts by served entity.
            entities: name of the served entity of each version.
        """
        current = {version: reading.entities.get(name, VersionCounts()) for version, name in entities.items()}
        if reading.minute is not None:
            # The minute in which the interval starts belongs in part to the traffic before it.
            if self.minute is None or reading.minute <= self.minute:
                return self if self.minute is not None else replace(self, last=current, minute=reading.minute)
            grown = current
        elif self.last is None:
            return replace(self, last=current)
        else:
            last = {version: self.last.get(version, VersionCounts()) for version in current}
            # After a restart everything is new, also of a version that has more requests by now than before.
            restarted = any(counts.fell_below(last[version]) for version, counts in current.items())
            grown = current if restarted else {each: counts.since(last[each]) for each, counts in current.items()}
        totals = {version: self.of(version) + counts for version, counts in grown.items()}
        return StepCounts({**self.totals, **totals}, current, reading.minute, self.cold)

    def to_json(self) -> dict[str, Any]:
        """Values in the fewest characters: a tag in Unity Catalog holds 1000."""
        bounds = sorted({bound for counts in self.totals.values() for bound in counts.within} - {math.inf})

        def values(counts: VersionCounts) -> list[Any]:
            within = [counts.within.get(bound, 0) for bound in bounds] if counts.within else []
            return [counts.requests, counts.refused, counts.failed, counts.answered, within]

        def by_version(counts: Mapping[int, VersionCounts] | None) -> dict[str, Any] | None:
            return None if counts is None else {str(version): values(each) for version, each in counts.items()}

        stored = {"totals": self.totals, "last": self.last, "cold": self.cold}
        return {"bounds": bounds, "minute": self.minute} | {name: by_version(each) for name, each in stored.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "StepCounts":
        def counts(stored: list[Any]) -> VersionCounts:
            requests, refused, failed, answered, within = stored
            bounds = {**dict(zip(values["bounds"], within, strict=True)), math.inf: answered} if within else {}
            return VersionCounts(requests, refused, failed, bounds)

        def by_version(name: str) -> dict[int, VersionCounts] | None:
            stored = values.get(name)
            return None if stored is None else {int(version): counts(each) for version, each in stored.items()}

        return cls(by_version("totals") or {}, by_version("last"), values["minute"], by_version("cold"))
