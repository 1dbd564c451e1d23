"""What a decision is made from, and what it is: frozen, and as JSON."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy.typing as npt

from lakehouse.arrays import Floats
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import Task
from training.evaluation.weighted_metrics import ScoredRows


@dataclass(frozen=True)
class HoldoutRows:
    """The rows of one holdout, as a decision sees them.

    Attributes:
        task: which form the labels and the answers have.
        fingerprint: SHA-256 of the rows.
        labels: (rows,) of 0 and 1, codes of classes, or numbers.
        slices: (rows,) of each column whose values are slices.
        excluded: rows of the pinned holdout that are not among these, since the champion was trained on them.
    """

    task: Task
    fingerprint: str
    labels: npt.NDArray[Any]
    slices: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    excluded: int = 0

    def outcomes(self, scores: "Scores") -> ScoredRows:
        return ScoredRows(self.labels, scores.predicted, scores.threshold)


@dataclass(frozen=True)
class ModelInput:
    """One column that a caller sends."""

    type: str
    required: bool


@dataclass(frozen=True)
class Measured:
    """What was found of a version beside its predictions; None where nobody measured it.

    Attributes:
        p99_ms: 99th percentile of the time of one answer, in milliseconds.
        size_mb: its files, in 10^6 bytes.
        inputs: what its callers send, by name.
    """

    p99_ms: float | None = None
    size_mb: float | None = None
    inputs: Mapping[str, ModelInput] | None = None


@dataclass(frozen=True)
class Scores:
    """What one version says about the rows of one holdout.

    Attributes:
        version: the registered version.
        holdout: SHA-256 of the rows.
        predicted: (rows,) probabilities of label 1 or numbers, or (rows, classes) probabilities.
        measured: what the guards look at.
        threshold: from which probability on it decides for label 1, where the task is binary.
    """

    version: int
    holdout: str
    predicted: Floats
    measured: Measured = Measured()
    threshold: float = 0.5


@dataclass(frozen=True)
class Standing:
    """Who is up against whom, and what people have said.

    Attributes:
        challenger, champion: the versions that carry the aliases.
        approved: who approved the challenger after the champion's last change, and why; empty where nobody did.
        frozen: who stopped promotion, and why; empty where nobody did.
    """

    challenger: int
    champion: int | None
    approved: str = ""
    frozen: str = ""


@dataclass(frozen=True)
class Reason:
    """One criterion: what was required, what was found, and whether that is enough.

    Attributes:
        criterion: its name.
        required, found: in words.
        passed: the verdict.
        values: what was compared, by what it is of; None where it is no number.
        limit: the number that decides, where one does.
        interval: around the value that decides, where there is one; its bounds are those of one side each.
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
    """The verdict and every reason for it.

    Attributes:
        challenger, champion: the versions.
        holdout: SHA-256 of the rows that both were judged on.
        promote: whether every criterion was met.
        reasons: one for each criterion, in the order they were looked at.
    """

    challenger: int
    champion: int | None
    holdout: str
    promote: bool
    reasons: tuple[Reason, ...]

    @property
    def lacks_approval_alone(self) -> bool:
        """Whether a person's word is all that is missing."""
        missed = [reason.criterion for reason in self.reasons if not reason.passed]
        return missed == [approval_of(self.challenger)]

    def to_json(self) -> str:
        return json.dumps(_finite(asdict(self)), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Decision":
        """Read what `to_json` wrote; what was no number is NaN again."""
        told = json.loads(text)
        reasons = tuple(Reason(**reason | {"interval": _interval(reason["interval"])}) for reason in told["reasons"])
        return cls(**told | {"reasons": reasons})

    def digest(self) -> str:
        """SHA-256 of the verdict, as the ledger keeps it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def summary(self) -> str:
        """In one sentence: why."""
        if self.promote:
            return f"version {self.challenger} meets all {len(self.reasons)} criteria"
        return "; ".join(
            f"{r.criterion}: required {r.required}, found {r.found}" for r in self.reasons if not r.passed
        )


def approval_of(version: int) -> str:
    """The name of the criterion that a person meets."""
    return f"approval of version {version}"


def _finite(value: Any) -> Any:
    """The value with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _interval(told: Mapping[str, float | None] | None) -> Interval | None:
    if told is None:
        return None
    return Interval(**{name: math.nan if number is None else number for name, number in told.items()})
