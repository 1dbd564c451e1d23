"""Faults at the n-th write of the gate, whatever it writes to: a failure, or the end of the process."""

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
Blow = Callable[[str], None]


def fails(write: str) -> None:
    """The disk is full where files are written, and else the registry is down."""
    if write.startswith(("log_", "add")):
        raise OSError(28, "No space left on device")
    raise MlflowException("connection refused")


def killed(_write: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Writes:
    """Counts the writes, and strikes before one of them; writes after a failure fail too."""

    strike_at: int
    blow: Blow
    names: list[str] = field(default_factory=list)

    def pass_on(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) > self.strike_at:
            self.blow(name)


@dataclass(frozen=True)
class Struck:
    """A client or a ledger's home whose writes are counted."""

    inner: Any
    writes: Writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not name.startswith(WRITES):
            return found

        def write(*arguments: Any, **named: Any) -> Any:
            self.writes.pass_on(name)
            return found(*arguments, **named)

        return write


def struck(gate: Gate, writes: Writes) -> Gate:
    """The same gate, that is struck at its writes."""
    ledger = Ledger(Struck(gate.ledger.home, writes))
    client: Any = Struck(gate.client, writes)
    return replace(gate, client=client, ledger=ledger)


@contextmanager
def counted(gate: Gate) -> Iterator[tuple[Gate, Writes]]:
    """A gate that nothing happens to, and its writes."""
    writes = Writes(10**6, fails)
    yield struck(gate, writes), writes
