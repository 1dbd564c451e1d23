"""Comparisons of a window, and which of them two tested windows in a row confirm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deployment.monitoring.counted import WindowTraffic
from deployment.monitoring.outcomes.forecasts import Coverage
from deployment.monitoring.outcomes.performance import Measured
from training.report.wording import format_number


@dataclass(frozen=True)
class Comparison:
    """One test of one window.

    Attributes:
        kind: a key of the decision table.
        subject: the column, or the part of the service.
        slice: empty for the whole window.
        rows, reference_rows: numbers of rows compared.
        value, expected: the compared numbers: shares, metrics, or the distance of two distributions and 0.
        p_value: None for an estimate, which is not tested.
        psi, wasserstein: effect sizes; None where they have no meaning.
        found: True if it is a finding.
        confirmed: True if the window before in which the same was tested has the same finding.
    """

    kind: str
    subject: str
    slice: str
    rows: int
    reference_rows: int
    value: float
    expected: float
    p_value: float | None
    psi: float | None = None
    wasserstein: float | None = None
    found: bool = False
    confirmed: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Findings of two windows are the same if these are equal."""
        return self.kind, self.subject, self.slice

    @property
    def p_or_one(self) -> float:
        """The p-value, by which the most certain comes first; 1 without one."""
        return 1.0 if self.p_value is None else self.p_value

    def sentence(self) -> str:
        """The finding in words.

        >>> Comparison("missing", "age", "", 500, 7000, 0.12, 0.01, 1e-9).sentence()
        'missing values of age: 12.0% of 500 rows, 1.0% in the reference'
        """
        within = f" within {self.slice}" if self.slice else ""
        if self.kind in SHARES:
            limit = "in the reference" if self.kind in {"missing", "unknown", "out_of_range"} else "accepted"
            unit = "rows" if limit == "in the reference" else "requests"
            what = SHARES[self.kind].format(self.subject)
            return f"{what}: {self.value:.1%} of {self.rows:,} {unit}, {self.expected:.1%} {limit}"
        if self.kind == "coverage":
            share = f"{self.value:.1%} of {self.rows:,} labels"
            return f"labels within the {self.subject}: {share}, {self.expected:.1%} on the holdout"
        if self.kind.endswith("performance"):
            how = "estimated " if self.kind.startswith("estimated") else ""
            value, expected = format_number(self.value), format_number(self.expected)
            return f"{how}{self.subject} {value} on {self.rows:,} rows, {expected} on the holdout"
        what = "predictions" if self.kind == "prediction_drift" or self.subject == "predictions" else self.subject
        effect = f"stability index {self.psi or 0:.3f}"
        moved = "" if self.wasserstein is None else f", moved by {self.wasserstein:.2f} standard deviations"
        return f"drift of {what}{within}: {effect}{moved}, on {self.rows:,} rows"


SHARES = {
    "missing": "missing values of {}",
    "unknown": "unknown values of {}",
    "out_of_range": "values of {} outside the known range",
    "errors": "failed requests",
    "refused": "refused requests",
    "latency": "requests slower than {}",
}


@dataclass(frozen=True)
class ComparedWindow:
    """One window with its comparisons.

    Attributes:
        number: position in the run.
        traffic: its requests.
        comparisons: every test; empty for an untested window.
        performance: metric on labelled rows, if there are any.
        estimate: estimated metric.
        tested: False for an empty window, or one with too few rows.
        coverage: of the bounds of a forecast, on labelled rows.
    """

    number: int
    traffic: WindowTraffic
    comparisons: tuple[Comparison, ...] = ()
    performance: Measured | None = None
    estimate: Measured | None = None
    tested: bool = False
    coverage: Coverage | None = None

    @property
    def findings(self) -> list[Comparison]:
        return [each for each in self.comparisons if each.found]


def confirm(windows: Sequence[ComparedWindow]) -> list[ComparedWindow]:
    """Mark findings that were found as well when the same was last tested.

    A window in which it was not tested, for want of rows or labels, neither confirms nor ends a finding.
    """
    confirmed: list[ComparedWindow] = []
    before: dict[tuple[str, str, str], bool] = {}
    for window in windows:
        marked = tuple(
            replace(each, confirmed=each.found and before.get(each.key, False)) for each in window.comparisons
        )
        confirmed.append(replace(window, comparisons=marked))
        before |= {each.key: each.found for each in window.comparisons}
    return confirmed
