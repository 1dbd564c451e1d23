"""Counts of the windows of a run, as they come from Spark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deployment.monitoring.counting import (
    ALL,
    FUTURE,
    LATENCY,
    LATENCY_EDGES,
    LEFT_OUT,
    NO_TIME,
    OTHER_VERSION,
    OUTSIDE,
    RECORDS,
    SLOW,
    STATUS,
    VOLUME,
)
from deployment.monitoring.unpacking import REASONS
from lakehouse.arrays import Floats


@dataclass(frozen=True)
class WindowTraffic:
    """Requests of one window.

    Attributes:
        requests: logged requests.
        volume: requests with those that sampling left out.
        records: records in them that could be read.
        statuses: logged requests by class of status: 1xx to 5xx at 1 to 5, others at 0.
        slow: logged requests slower than the limit; 0 without one.
        latency: requests by bin of `LATENCY_EDGES`.
        left_out: rows by reason, see `REASONS`.
    """

    requests: int
    volume: float
    records: int
    statuses: tuple[int, ...]
    slow: int
    latency: Floats
    left_out: Mapping[str, int]

    @property
    def timed(self) -> int:
        """Requests whose duration is known."""
        return int(self.latency.sum())

    @property
    def failed(self) -> int:
        """Requests with a status of 5xx, or with none."""
        return self.statuses[5] + self.statuses[0]

    @property
    def refused(self) -> int:
        """Requests with a status of 4xx."""
        return self.statuses[4]

    def quantile(self, share: float) -> float:
        """Upper bound of the bin with this quantile of the latency, in milliseconds; NaN without requests."""
        total = self.latency.sum()
        if not total:
            return float("nan")
        at = int(np.searchsorted(np.cumsum(self.latency), share * total))
        return float(LATENCY_EDGES[min(at, len(LATENCY_EDGES) - 1)])


@dataclass(frozen=True)
class Counted:
    """Counts by window, slice and column.

    Attributes:
        counts: by (window, slice), by column, by bin.
        other_version: rows of other versions in the period.
        future: rows with a time after the run: some clock is ahead.
        outside: rows before or after the windows of the run.
        without_time: rows without a time.
    """

    counts: Mapping[tuple[int, str], Mapping[str, Mapping[int, float]]] = field(default_factory=dict)
    other_version: int = 0
    future: int = 0
    outside: int = 0
    without_time: int = 0

    @classmethod
    def of(cls, rows: Iterable[Any]) -> "Counted":
        """Read rows with the columns of `counting.SCHEMA`."""
        counts: dict[tuple[int, str], dict[str, dict[int, float]]] = {}
        totals = dict.fromkeys((OTHER_VERSION, FUTURE, OUTSIDE, NO_TIME), 0.0)
        for row in rows:
            if row["name"] in totals:
                totals[row["name"]] += row["count"]
                continue
            by_name = counts.setdefault((row["window"], row["slice"]), {})
            by_name.setdefault(row["name"], {})[row["bin"]] = row["count"]
        return cls(counts, *map(int, totals.values()))

    def rows(self, windows: int) -> dict[str, int]:
        """Every row that was read, by the one place in which it counts.

        Args:
            windows: number of windows of the run.
        """
        return {
            "in_windows": sum(self.traffic(number).requests for number in range(windows)),
            "other_versions": self.other_version,
            "outside_the_windows": self.outside,
            "later_than_the_run": self.future,
            "without_a_time": self.without_time,
        }

    def column(self, window: int, name: str, size: int, slice_: str = ALL) -> Floats:
        """(size,) counts of a column; with a smaller size without those of `ColumnBins.TAIL`."""
        found = np.zeros(size)
        for at, value in self.counts.get((window, slice_), {}).get(name, {}).items():
            if at < size:
                found[at] = value
        return found

    def slices(self, window: int) -> Sequence[str]:
        """Slices with rows in a window, such as `job=technician`."""
        return sorted(slice_ for at, slice_ in self.counts if at == window and slice_ != ALL)

    def traffic(self, window: int) -> WindowTraffic:
        """Requests of a window."""
        statuses = self.column(window, STATUS, 6)
        left_out = self.column(window, LEFT_OUT, len(REASONS))
        return WindowTraffic(
            requests=int(statuses.sum()),
            volume=float(self.column(window, VOLUME, 1)[0]),
            records=int(self.column(window, RECORDS, 1)[0]),
            statuses=tuple(map(int, statuses)),
            slow=int(self.column(window, SLOW, 2)[1]),
            latency=self.column(window, LATENCY, len(LATENCY_EDGES) + 1),
            left_out={reason: int(rows) for reason, rows in zip(REASONS, left_out, strict=True) if rows},
        )
