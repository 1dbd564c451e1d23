"""Which data a version was trained on, and which it must be judged on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from mlflow.entities.model_registry import ModelVersion

from lakehouse.errors import LakehouseError
from training.frame.splits import Split
from training.use_case.use_case import SplitPlan as Plan


class NoProvenance(LakehouseError):
    """A version does not say which data it was trained on."""


@dataclass(frozen=True)
class Provenance:
    """Which data a version was trained on, and which it must be judged on.

    Attributes:
        sources: the Delta version of every table that was read.
        rows: rows trained on.
        first, last: their times.
        holdout_from: where the holdout begins.
        holdout_rows: how many rows it has.
        holdout_fingerprint: SHA-256 of them.
        new_rows: rows that came after the last row of the version before; None for a first version.
        new_from: the time of the first of them.
        holdout_entities: the share of the entities that is held out, by hash; None where the holdout is the end.
    """

    sources: Mapping[str, int]
    rows: int
    first: datetime
    last: datetime
    holdout_from: datetime
    holdout_rows: int
    holdout_fingerprint: str
    new_rows: int | None
    new_from: datetime | None = None
    holdout_entities: float | None = None

    def saw(self, other: "Provenance") -> bool:
        """Whether a version of this provenance may have been trained on rows of the other's holdout."""
        if other.holdout_entities is None:
            return self.last >= other.holdout_from
        return self.holdout_entities is None or self.holdout_entities < other.holdout_entities

    def tags(self) -> dict[str, str]:
        return {
            "data.sources": json.dumps(dict(sorted(self.sources.items()))),
            "data.rows": str(self.rows),
            "data.first": self.first.isoformat(),
            "data.last": self.last.isoformat(),
            "data.new_rows": "" if self.new_rows is None else str(self.new_rows),
            "data.new_from": "" if self.new_from is None else self.new_from.isoformat(),
            "holdout.from": self.holdout_from.isoformat(),
            "holdout.rows": str(self.holdout_rows),
            "holdout.fingerprint": self.holdout_fingerprint,
            "holdout.entities": "" if self.holdout_entities is None else repr(self.holdout_entities),
        }

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Provenance":
        """Read what `tags` wrote.

        Raises:
            NoProvenance: somebody else registered the version.
        """
        if missing := sorted({"data.sources", "data.last", "holdout.from", "holdout.fingerprint"} - set(tags)):
            raise NoProvenance(f"it lacks the tags {', '.join(missing)}")
        return cls(
            sources=json.loads(tags["data.sources"]),
            rows=int(tags["data.rows"]),
            first=datetime.fromisoformat(tags["data.first"]),
            last=datetime.fromisoformat(tags["data.last"]),
            holdout_from=datetime.fromisoformat(tags["holdout.from"]),
            holdout_rows=int(tags["holdout.rows"]),
            holdout_fingerprint=tags["holdout.fingerprint"],
            new_rows=int(tags["data.new_rows"]) if tags["data.new_rows"] else None,
            new_from=datetime.fromisoformat(tags["data.new_from"]) if tags.get("data.new_from") else None,
            holdout_entities=float(tags["holdout.entities"]) if tags.get("holdout.entities") else None,
        )


def provenance(data: Split, plan: Plan, before: ModelVersion | None) -> Provenance:
    """What the two parts of a frame, how they were cut, and the version before say about the data."""
    training, holdout = data.training, data.holdout
    new_rows, new_from = None, None
    if before is not None and "data.last" in before.tags:
        last = Provenance.of_tags(before.tags).last.replace(tzinfo=None)
        new = training.times[training.times > np.datetime64(last, "us")]
        new_rows = len(new)
        new_from = new[0].item().replace(tzinfo=UTC) if new_rows else None
    return Provenance(
        sources=training.sources,
        rows=len(training),
        first=training.first,
        last=training.last,
        holdout_from=holdout.first,
        holdout_rows=len(holdout),
        holdout_fingerprint=holdout.fingerprint(),
        new_rows=new_rows,
        new_from=new_from,
        holdout_entities=None if plan.in_time else plan.holdout,
    )
