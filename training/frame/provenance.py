"""Provenance of a version: its training rows, and the holdout of its evaluation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from mlflow.entities.model_registry import ModelVersion

from lakehouse.errors import LakehouseError
from training.frame.splits import Split
from training.use_case.split import SplitPlan

SOURCES = ("data_sources", "data.sources")  # tag of the tables that a version was trained on, now and before


class NoProvenance(LakehouseError):
    """A version lacks the tags of its provenance."""


@dataclass(frozen=True)
class Provenance:
    """Training rows and holdout of a version, as its tags record them.

    Attributes:
        sources: Delta version of every table that was read.
        rows: number of training rows.
        first, last: times of the first and last training row.
        holdout_from: time of the first row of the holdout.
        holdout_rows: number of rows of the holdout.
        holdout_fingerprint: SHA-256 of the holdout.
        new_rows: training rows later than the last one of the previous version; None for a first version.
        new_from: time of the first of the new rows.
        holdout_entities: share of the entities that is held out, by hash; None with another holdout.
        holdout_column: fold column and value of the holdout, as `fold=holdout`; None without a fold column.
        holdout_until: time of the last row of the holdout; None in versions of before it was recorded.
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
    holdout_column: str | None = None
    holdout_until: datetime | None = None

    def overlaps_holdout(self, other: "Provenance") -> bool:
        """Return True if training rows of this version may be in the other's holdout."""
        if other.holdout_column is not None:
            return self.holdout_column != other.holdout_column
        if other.holdout_entities is None:
            return self.last >= other.holdout_from
        return self.holdout_entities is None or self.holdout_entities < other.holdout_entities

    def tags(self) -> dict[str, str]:
        return {
            "data_sources": json.dumps(dict(sorted(self.sources.items()))),
            "data_rows": str(self.rows),
            "data_first": self.first.isoformat(),
            "data_last": self.last.isoformat(),
            "data_new_rows": "" if self.new_rows is None else str(self.new_rows),
            "data_new_from": "" if self.new_from is None else self.new_from.isoformat(),
            "holdout_from": self.holdout_from.isoformat(),
            "holdout_rows": str(self.holdout_rows),
            "holdout_fingerprint": self.holdout_fingerprint,
            "holdout_entities": "" if self.holdout_entities is None else repr(self.holdout_entities),
            "holdout_column": self.holdout_column or "",
            "holdout_until": "" if self.holdout_until is None else self.holdout_until.isoformat(),
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> "Provenance":
        """Read the tags that `tags` wrote.

        Raises:
            NoProvenance: a tag is missing; the version was registered by another tool.
        """
        if missing := sorted({"data_sources", "data_last", "holdout_from", "holdout_fingerprint"} - set(tags)):
            raise NoProvenance(f"it lacks the tags {', '.join(missing)}")
        return cls(
            sources=json.loads(tags["data_sources"]),
            rows=int(tags["data_rows"]),
            first=datetime.fromisoformat(tags["data_first"]),
            last=datetime.fromisoformat(tags["data_last"]),
            holdout_from=datetime.fromisoformat(tags["holdout_from"]),
            holdout_rows=int(tags["holdout_rows"]),
            holdout_fingerprint=tags["holdout_fingerprint"],
            new_rows=int(tags["data_new_rows"]) if tags["data_new_rows"] else None,
            new_from=datetime.fromisoformat(tags["data_new_from"]) if tags.get("data_new_from") else None,
            holdout_entities=float(tags["holdout_entities"]) if tags.get("holdout_entities") else None,
            holdout_column=tags.get("holdout_column") or None,
            holdout_until=datetime.fromisoformat(tags["holdout_until"]) if tags.get("holdout_until") else None,
        )


def recorded_sources(tags: Mapping[str, str]) -> dict[str, int]:
    """Delta version of every table that a version was trained on, from its tags or those of an earlier release.

    Raises:
        NoProvenance: no tag records it, or its text is not a JSON object of version numbers.
    """
    for key in SOURCES:
        if key in tags:
            try:
                return {str(table): int(version) for table, version in json.loads(tags[key]).items()}
            except (ValueError, TypeError, AttributeError) as err:
                raise NoProvenance(f"its tag {key} is {tags[key]!r}, not Delta versions by table") from err
    raise NoProvenance("it lacks the tag data_sources")


def provenance(data: Split, plan: SplitPlan, before: ModelVersion | None) -> Provenance:
    """Describe the parts of a frame, and count the rows that the previous version did not have."""
    training, holdout = data.training, data.holdout
    new_rows, new_from = None, None
    if before is not None and "data_last" in before.tags:
        last = Provenance.from_tags(before.tags).last.replace(tzinfo=None)
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
        holdout_entities=plan.holdout if plan.kind.draws_entities else None,
        holdout_column=None if plan.column is None else f"{plan.column}={plan.holdout_text}",
        holdout_until=holdout.last,
    )
