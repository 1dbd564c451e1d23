"""Everything outside that a controller uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from deployment.model_server.clock import Clock
from deployment.rollout.findings import StepFindings
from deployment.rollout.journal import RolloutJournal
from deployment.rollout.progress import ProgressStore
from deployment.rollout.state import Rollout
from deployment.rollout.target import RolloutTarget
from lakehouse.errors import LakehouseError

GoldenRows = tuple[Sequence[Any], Sequence[Any]]  # request records and their predictions


class RecordsUnavailable(LakehouseError):
    """Registry or ledger did not respond for longer than a rollout waits."""

    @classmethod
    def of(cls, name: str, away: str, reason: str) -> "RecordsUnavailable":
        return cls(
            f"the rollout is paused: registry or ledger could not be used for {away}: {reason}",
            hint="The traffic stays as it is, and nothing was recorded meanwhile. Once they can be used, continue it:"
            f" python -m deployment.run rollout --use-case {name}",
        )


class OutageLog(Protocol):
    """Outages of registry and ledger that have ended."""

    @property
    def count(self) -> int:
        """Number of outages so far."""
        ...

    def longest(self) -> float:
        """Length in seconds of the longest outage since the last call; 0 without one."""
        ...


@dataclass(frozen=True)
class RolloutPorts:
    """Everything outside that a controller uses.

    Attributes:
        journal: record of the rollouts.
        target: endpoint.
        progress: progress between the records.
        golden_rows: golden rows of a version and their predictions.
        findings: findings about the predictions of a step.
        renew: extends the lease.
        require_lease: checks that no other controller has taken it; called before each side effect.
        clock: time and pauses.
        tell: prints one line about an event.
        outages: outages of registry and ledger, which the calls above wait for.
    """

    journal: RolloutJournal
    target: RolloutTarget
    progress: ProgressStore
    golden_rows: Callable[[int], GoldenRows]
    findings: Callable[[Rollout], StepFindings]
    renew: Callable[[], None]
    require_lease: Callable[[], None]
    clock: Clock
    tell: Callable[[str], None]
    outages: OutageLog
