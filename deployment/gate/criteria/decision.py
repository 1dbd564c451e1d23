"""The inputs of a decision, and the decision with its reasons, as frozen dataclasses and JSON."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy.typing as npt

from lakehouse.arrays import Floats
from lakehouse.wording import format_number
from scoring.tasks import Task
from training.evaluation.bootstrap import Interval
from training.evaluation.resampling import INDEPENDENT, Dependence
from training.evaluation.weighted_metrics import ScoredRows

ADDED_LATER = ("criteria", "criteria_changes")  # fields of a verdict that earlier releases did not have


@dataclass(frozen=True)
class HoldoutRows:
    """The rows of one holdout that a decision compares versions on.

    Attributes:
        task: kind of the labels and predictions.
        fingerprint: SHA-256 of the rows.
        labels: (rows,) indices of classes, or numbers.
        slices: (rows,) values of each column that defines slices.
        excluded: count of rows of the pinned holdout that are left out because the champion was trained on them.
        unanswered: count of rows that are left out because the tables lack the champion's features for them.
        dependence: entity and time of each row.
        category_names: names of the values 0, 1, ... of each column of slices that is a category index or a cohort.
    """

    task: Task
    fingerprint: str
    labels: npt.NDArray[Any]
    slices: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    excluded: int = 0
    unanswered: int = 0
    dependence: Dependence = INDEPENDENT
    category_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def outcomes(self, scores: "Scores") -> ScoredRows:
        return ScoredRows(self.labels, scores.predicted, scores.threshold, self.dependence)

    def format_slice(self, column: str, value: Any) -> str:
        """The value of a slice for people: of a category also its name, such as `2 (18 to below 50)`."""
        names, number = self.category_names.get(column), format_number(value)
        return number if names is None else f"{number} ({names[int(value)]})"


@dataclass(frozen=True)
class ModelInput:
    """An input column of a version."""

    type: str
    required: bool


@dataclass(frozen=True)
class Measurements:
    """Measurements of a version besides its predictions; None where not measured.

    Attributes:
        p99_ms: 99th percentile of the time of one response, in milliseconds.
        size_mb: size of its files, in 10^6 bytes.
        inputs: its input columns by name.
    """

    p99_ms: float | None = None
    size_mb: float | None = None
    inputs: Mapping[str, ModelInput] | None = None


@dataclass(frozen=True)
class Scores:
    """The predictions of one version on the rows of one holdout.

    Attributes:
        version: the registered version.
        holdout: SHA-256 of the rows.
        predicted: (rows,) probabilities of label 1 or numbers, or (rows, classes) probabilities.
        measured: measurements for the guards.
        threshold: decision threshold of a binary task.
    """

    version: int
    holdout: str
    predicted: Floats
    measured: Measurements = Measurements()
    threshold: float = 0.5


@dataclass(frozen=True)
class HoldoutAttempt:
    """The place of this comparison among those that share holdout rows with it.

    Attributes:
        number: 1 for the first comparison on these rows.
        earlier: versions that were compared before, on some of these rows.
    """

    number: int = 1
    earlier: tuple[int, ...] = ()


@dataclass(frozen=True)
class FormerChampion:
    """The best former champion, on the same rows.

    Attributes:
        scores: its predictions; None if no former champion can be compared.
        unusable: former champions that cannot be compared, each with the reason.
    """

    scores: Scores | None = None
    unusable: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateState:
    """The versions in the gate, and the overrides in force.

    Attributes:
        challenger, champion: versions with these aliases.
        attempt: place among the comparisons on the same rows.
        former: the best former champion, unless it is the champion itself.
        approved: who approved the challenger after the champion's last change, and why; empty without approval.
        frozen: who froze promotion, and why; empty if it is not frozen.
        incomparable: why the champion cannot be compared on the holdout; empty if it can.
    """

    challenger: int
    champion: int | None
    approved: str = ""
    frozen: str = ""
    incomparable: str = ""
    attempt: HoldoutAttempt = HoldoutAttempt()
    former: FormerChampion = FormerChampion()


@dataclass(frozen=True)
class CriterionResult:
    """The result of one criterion.

    Attributes:
        criterion: name of the criterion.
        required, found: requirement and finding in words.
        passed: True if the requirement is met.
        values: compared values by name; None where there is no number.
        limit: the limit that the deciding value is compared with, if any.
        interval: interval of the deciding value, if any; each bound is one-sided.
    """

    criterion: str
    required: str
    found: str
    passed: bool
    values: Mapping[str, float | None] = field(default_factory=dict)
    limit: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True)
class Decision:
    """The decision of the gate, with every reason.

    Attributes:
        challenger, champion: compared versions.
        holdout: SHA-256 of the rows that both were compared on.
        promote: True if every criterion is met.
        reasons: one for each criterion, in the order of their evaluation.
        criteria: promotion criteria of the use case; empty in verdicts of earlier releases.
        criteria_changes: criteria that differ from those of the verdict before, one line each.
    """

    challenger: int
    champion: int | None
    holdout: str
    promote: bool
    reasons: tuple[CriterionResult, ...]
    criteria: Mapping[str, Any] = field(default_factory=dict)
    criteria_changes: tuple[str, ...] = ()

    @property
    def lacks_only_approval(self) -> bool:
        """True if a person's approval would meet every criterion that is not met."""
        failed = {reason.criterion for reason in self.reasons if not reason.passed}
        return bool(failed) and failed <= {approval_of(self.challenger), comparison_with(self.champion)}

    @property
    def criteria_digest(self) -> str:
        """SHA-256 of the criteria, as recorded in the ledger; empty without them."""
        text = json.dumps(_finite(self.criteria), sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest() if self.criteria else ""

    def to_json(self) -> str:
        """JSON without fields that earlier releases lacked and that are empty: their verdicts keep their hash."""
        fields = _finite(asdict(self))
        empty = [name for name in ADDED_LATER if not fields[name]]
        return json.dumps(
            {name: value for name, value in fields.items() if name not in empty}, sort_keys=True, allow_nan=False
        )

    @classmethod
    def from_json(cls, text: str) -> "Decision":
        """Read the JSON of `to_json`; null becomes NaN where a number was."""
        fields = json.loads(text)
        reasons = tuple(
            CriterionResult(**reason | {"interval": _interval(reason["interval"])}) for reason in fields["reasons"]
        )
        changes = tuple(fields.get("criteria_changes", ()))
        return cls(**fields | {"reasons": reasons, "criteria_changes": changes})

    def digest(self) -> str:
        """SHA-256 of the verdict, as recorded in the ledger."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def summary(self) -> str:
        """The reasons in one sentence."""
        if self.promote:
            return f"version {self.challenger} meets all {len(self.reasons)} criteria"
        return "; ".join(
            f"{r.criterion}: required {r.required}, found {r.found}" for r in self.reasons if not r.passed
        )


def approval_of(version: int) -> str:
    """The name of the criterion for the approval of a version."""
    return f"approval of version {version}"


def comparison_with(version: int | None) -> str:
    """The name of the criterion for a champion that cannot be compared."""
    return f"comparison with version {version}"


def _finite(value: Any) -> Any:
    """The value with None in place of NaN and infinity, which JSON lacks."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _interval(fields: Mapping[str, float | None] | None) -> Interval | None:
    if fields is None:
        return None
    return Interval(**{name: math.nan if number is None else number for name, number in fields.items()})
