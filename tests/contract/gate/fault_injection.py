"""Faults at the n-th write of the gate, to registry, artifacts or ledger: an exception, or the end of the process."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow.exceptions import MlflowException

from deployment.gate.gate import Gate
from deployment.ledger.entries import Ledger

WRITES = ("set_", "delete_", "create_", "update_", "log_", "add")
Fault = Callable[[str], None]


def raise_error(write: str) -> None:
    """Simulate a full disk for writes of files, else a registry that is down."""
    if write.startswith(("log_", "add")):
        raise OSError(28, "No space left on device")
    raise MlflowException("connection refused")


def kill_process(_write: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Writes:
    """Counts writes, and injects a fault before one of them; later writes fail too."""

    fail_at: int
    fault: Fault
    names: list[str] = field(default_factory=list)

    def before_write(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) > self.fail_at:
            self.fault(name)


@dataclass(frozen=True)
class FaultyWrites:
    """Proxy of a client or a ledger home that counts its writes."""

    inner: Any
    writes: Writes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not name.startswith(WRITES):
            return method

        def write(*arguments: Any, **named: Any) -> Any:
            self.writes.before_write(name)
            return method(*arguments, **named)

        return write


def with_fault(gate: Gate, writes: Writes) -> Gate:
    """Copy of the gate with a fault in its writes."""
    ledger = Ledger(FaultyWrites(gate.ledger.storage, writes))
    client: Any = FaultyWrites(gate.client, writes)
    return replace(gate, client=client, ledger=ledger)


@contextmanager
def counting_writes(gate: Gate) -> Iterator[tuple[Gate, Writes]]:
    """Copy of the gate without a fault, and its writes."""
    writes = Writes(10**6, raise_error)
    yield with_fault(gate, writes), writes
