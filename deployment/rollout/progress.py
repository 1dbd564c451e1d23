"""Progress of a rollout between its ledger entries, in tags of the registered model.

`status` shows it, and a controller that takes over goes on counting from it.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from mlflow.tracking import MlflowClient

from deployment.rollout.limits.counts import StepCounts
from deployment.rollout.state import Rollout
from training.registry.versions import model_of

PROGRESS, COUNTS = "rollout_progress", "rollout_counts"


@dataclass(frozen=True)
class RolloutProgress:
    """State of a rollout as people see it.

    Attributes:
        id: identifier of the rollout.
        version, stable: new version, and the version that it replaces.
        phase: phase that it has reached.
        step, steps: number of the step from 1, and of all steps; 0 before the first.
        share: share of the traffic that the new version gets, in per cent.
        requests, errors: requests of the new version in this step, and those with a status of 5xx.
        seconds_left: rest of the bake; 0 outside of a bake.
        waits_for: reason why it does not go on now.
        owner: controller that carries it out.
        at: time of this state, in seconds since 1970.
    """

    id: str
    version: int
    stable: int | None
    phase: str
    step: int
    steps: int
    share: int
    requests: int
    errors: int
    seconds_left: float
    waits_for: str
    owner: str = ""
    at: float = 0.0

    @classmethod
    def of(cls, rollout: Rollout, counts: StepCounts, now: float, waits_for: str) -> "RolloutProgress":
        new = counts.of(rollout.version)
        left = max(0.0, rollout.until - now) if rollout.until else 0.0
        return cls(
            rollout.id, rollout.version, rollout.stable, str(rollout.phase), rollout.step + 1, len(rollout.shares),
            rollout.share, new.requests, new.failed, round(left, 1), waits_for[:200], "", now,
        )  # fmt: skip

    def __str__(self) -> str:
        """One line for the console.

        >>> print(RolloutProgress("r", 5, 2, "baking", 1, 2, 10, 240, 0, 300, "5 min left", "anna"))
        rollout of version 5 beside version 2: baking, step 1 of 2, 10 %, 240 requests, 0 errors; 5 min left; by anna
        >>> print(str(RolloutProgress("r", 5, None, "checked", 0, 0, 100, 0, 0, 0, "")).partition("; ")[2])
        nobody carries it out: python -m deployment.run rollout --use-case NAME
        """
        beside = f" beside version {self.stable}" if self.stable is not None else ""
        step = f"step {self.step} of {self.steps}, " if self.step else ""
        counted = f"{step}{self.share} %, {self.requests:,} requests, {self.errors:,} errors"
        waiting = f"; {self.waits_for}" if self.waits_for else ""
        owner = (
            f"by {self.owner}"
            if self.owner
            else "nobody carries it out: python -m deployment.run rollout --use-case NAME"
        )
        return f"rollout of version {self.version}{beside}: {self.phase}, {counted}{waiting}; {owner}"


class ProgressStore(Protocol):
    """Boundary between a controller and the stored progress."""

    def counts(self, rollout: Rollout) -> StepCounts:
        """Counts of the current step; empty if none are stored."""
        ...

    def save(self, rollout: Rollout, progress: RolloutProgress, counts: StepCounts) -> None:
        """Replace the stored progress."""
        ...

    def clear(self) -> None:
        """Delete it after the end of a rollout."""
        ...


@dataclass(frozen=True)
class ProgressTags:
    """Progress in two tags of the registered model."""

    client: MlflowClient
    name: str

    def counts(self, rollout: Rollout) -> StepCounts:
        stored = _tag(self.client, self.name, COUNTS)
        if stored.get("of") != [rollout.id, rollout.step]:
            return StepCounts()
        return StepCounts.from_json(stored)

    def save(self, rollout: Rollout, progress: RolloutProgress, counts: StepCounts) -> None:
        self._set(PROGRESS, asdict(progress))
        self._set(COUNTS, {"of": [rollout.id, rollout.step]} | counts.to_json())

    def clear(self) -> None:
        tags = _tags(self.client, self.name)
        for name in (PROGRESS, COUNTS):
            if name in tags:
                self.client.delete_registered_model_tag(self.name, name)

    def _set(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        self.client.set_registered_model_tag(self.name, name, text)


def stored_progress(client: MlflowClient, name: str) -> RolloutProgress | None:
    """Progress of the rollout of a model; None without one."""
    stored = _tag(client, name, PROGRESS)
    known = {each: value for each, value in stored.items() if each in RolloutProgress.__dataclass_fields__}
    return RolloutProgress(**known) if known else None


def _tag(client: MlflowClient, name: str, tag: str) -> dict[str, Any]:
    try:
        stored = json.loads(_tags(client, name).get(tag, "{}"))
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) else {}


def _tags(client: MlflowClient, name: str) -> dict[str, str]:
    model = model_of(client, name)
    return dict(model.tags) if model else {}


def _conforms(store: ProgressTags) -> ProgressStore:
    return store
