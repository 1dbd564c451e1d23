"""Outages of registry and ledger during a rollout: calls are repeated until both respond again.

A side effect needs its intent in the ledger and the lease in the registry. While one of them is away nothing is
changed, so no state can be lost: traffic and records stay as they are. After an outage the lease is checked before
the call is repeated, because another machine may have taken over.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlflow.exceptions import MlflowException
from requests import RequestException

from deployment.ledger.change_errors import ChangeIncomplete
from deployment.ledger.entries import Action
from deployment.ledger.storage import LedgerUnavailable, PromotionBusy
from deployment.model_server.clock import Clock
from deployment.rollout.journal import Decided, RolloutJournal
from deployment.rollout.limits.counts import StepCounts
from deployment.rollout.ports import OutageLog, RecordsUnavailable, RolloutPorts
from deployment.rollout.progress import ProgressStore, RolloutProgress
from deployment.rollout.state import Rollout
from deployment.rollout.transitions import MOST_OUTAGE_SECONDS, Act, duration
from lakehouse.errors import LakehouseError, first_line
from lakehouse.tables.warehouse import WarehouseUnwritable
from training.tracking import cause

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two attempts
Answer = TypeVar("Answer")
# Answers of a registry that works.
_ANSWERS = {
    "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "NOT_FOUND", "ALREADY_EXISTS", "ENDPOINT_NOT_FOUND",
    "INVALID_PARAMETER_VALUE", "NOT_IMPLEMENTED",
}  # fmt: skip
_FULL_OR_AWAY = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS}
_FAILURES = (MlflowException, RequestException, LakehouseError, OSError)


def is_outage(err: BaseException) -> bool:
    """True for an error of a registry or ledger that may pass by itself."""
    if isinstance(err, MlflowException):
        return err.error_code not in _ANSWERS
    if isinstance(err, OSError) and not isinstance(err, RequestException):
        return err.errno in _FULL_OR_AWAY
    return isinstance(
        err, RequestException | LedgerUnavailable | PromotionBusy | WarehouseUnwritable | ChangeIncomplete
    )


@dataclass
class Outages:
    """Repeats calls while registry or ledger are away.

    Attributes:
        name: use case.
        clock: time and pauses; it must not use the registry itself.
        tell: prints one line about an event.
        patient: True to wait for as long as an outage lasts, False to give up after `MOST_OUTAGE_SECONDS`.
        require_lease: checks that no other controller has taken over.
    """

    name: str
    clock: Clock
    tell: Callable[[str], None]
    patient: bool
    require_lease: Callable[[], None]
    count: int = 0
    _longest: float = field(default=0.0, repr=False)

    def longest(self) -> float:
        longest, self._longest = self._longest, 0.0
        return longest

    def wait_out(self, call: Callable[[], Answer]) -> Answer:
        """Call a function, and repeat it while registry or ledger do not respond.

        Raises:
            RecordsUnavailable: They did not for too long.
            RolloutBusy: Another controller has taken over meanwhile.
        """
        try:
            return call()
        except _FAILURES as err:
            if not is_outage(err):
                raise
            return self._repeated(call, err)

    def _repeated(self, call: Callable[[], Answer], err: Exception) -> Answer:
        since, pause, too_long = self.clock.time(), FIRST_PAUSE, False
        self.count += 1
        self.tell(f"registry or ledger cannot be used; nothing is changed until they can be: {_line(err)}")
        while True:
            self.clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                self.require_lease()
                result = call()
                break
            except _FAILURES as again:
                if not is_outage(again):
                    raise
                err = again
            away = self.clock.time() - since
            if away > MOST_OUTAGE_SECONDS and not too_long:
                unavailable = RecordsUnavailable.of(self.name, duration(away), _line(err))
                if not self.patient:
                    raise unavailable from err
                too_long = True
                self.tell(unavailable.failed)
        away = max(0.0, self.clock.time() - since)
        self._longest = max(self._longest, away)
        self.tell(f"registry and ledger can be used again after {duration(away)}")
        return result


def guarded(ports: RolloutPorts, outages: Outages) -> RolloutPorts:
    """The ports, whose calls of registry and ledger wait for the end of an outage."""
    return replace(
        ports,
        journal=_GuardedJournal(ports.journal, outages),
        progress=_GuardedProgress(ports.progress, outages),
        golden_rows=lambda version: outages.wait_out(lambda: ports.golden_rows(version)),
        renew=lambda: outages.wait_out(ports.renew),
        require_lease=lambda: outages.wait_out(ports.require_lease),
        outages=outages,
    )


@dataclass(frozen=True)
class _GuardedJournal:
    journal: RolloutJournal
    outages: Outages

    def current(self) -> Rollout | None:
        return self.outages.wait_out(self.journal.current)

    def record(self, action: Action, rollout: Rollout, event: str, intent: Act | None = None) -> None:
        # Written twice if only the response was lost: both entries hold the same state.
        self.outages.wait_out(lambda: self.journal.record(action, rollout, event, intent))

    def intent(self) -> Act | None:
        return self.outages.wait_out(self.journal.intent)

    def decision(self, rollout: Rollout) -> Decided | None:
        return self.outages.wait_out(lambda: self.journal.decision(rollout))

    def champion(self) -> int | None:
        return self.outages.wait_out(self.journal.champion)

    def return_champion(self, rollout: Rollout) -> str:
        return self.outages.wait_out(lambda: self.journal.return_champion(rollout))


@dataclass(frozen=True)
class _GuardedProgress:
    progress: ProgressStore
    outages: Outages

    def counts(self, rollout: Rollout) -> StepCounts:
        return self.outages.wait_out(lambda: self.progress.counts(rollout))

    def save(self, rollout: Rollout, progress: RolloutProgress, counts: StepCounts) -> None:
        self.outages.wait_out(lambda: self.progress.save(rollout, progress, counts))

    def clear(self) -> None:
        self.outages.wait_out(self.progress.clear)


def _line(err: Exception) -> str:
    if isinstance(err, LakehouseError):
        return err.failed
    return str(err) if isinstance(err, OSError) and err.errno else f"MLflow {first_line(cause(err))}"


def _conforms(
    journal: _GuardedJournal, progress: _GuardedProgress, outages: Outages
) -> tuple[RolloutJournal, ProgressStore, OutageLog]:
    return journal, progress, outages
