"""Lease of a rollout: one controller at a time, with an owner and an expiry, in a tag of the registered model.

The tag is written under the lock of the ledger, which excludes other commands of this machine. Of two machines that
find no lease at the same moment, both write the tag: each reads it again after a pause and before each side effect,
and the one whose token was replaced gives up. A lease of a process that has ended on this machine counts no more.
"""

import json
import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException

from deployment.ledger.entries import Ledger
from deployment.ledger.origin import actor
from deployment.ledger.storage import PromotionBusy
from deployment.model_server.clock import SYSTEM, Clock
from deployment.model_server.process.ports import started_at
from deployment.rollout.progress import RolloutProgress, stored_progress
from lakehouse.errors import LakehouseError
from training.registry.versions import model_of

TAG = "rollout_lease"
SECONDS = 90.0  # until a controller that gives no sign of life is replaced
ATTEMPTS, PAUSE = 40, 0.25  # another command holds the ledger's lock for a moment
SETTLE = 0.5  # longer than another machine takes between its look at the tag and its write


class RolloutBusy(LakehouseError):
    """Another controller carries out the rollout."""

    @classmethod
    def by(cls, name: str, owner: str, seconds: float) -> "RolloutBusy":
        return cls(
            f"a rollout of {name} is being carried out by {owner}",
            hint="This command changed nothing. Watch it: python -m deployment.run status. If that process has ended,"
            f" its lease ends in {max(seconds, 1):.0f} s; then run this command again.",
        )

    @classmethod
    def lost(cls, name: str, owner: str) -> "RolloutBusy":
        return cls(
            f"{owner} has taken over the rollout of {name}: both began at the same moment, or this controller was"
            f" silent for more than {SECONDS:.0f} s",
            hint="Nothing is to be done. Watch it: python -m deployment.run status",
        )


@dataclass
class Lease:
    """Lease on the rollouts of one registered model; a context that holds it.

    Attributes:
        name: registered model.
        client: registry client.
        ledger: ledger whose lock guards the tag.
        clock: clock of the expiry.
        token: identifies this controller.
    """

    name: str
    client: MlflowClient
    ledger: Ledger
    clock: Clock
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    _renewed: float = 0.0

    def __enter__(self) -> "Lease":
        """Take the lease.

        Raises:
            RolloutBusy: Another controller holds it.
        """
        retried(self._take, self.clock)
        self.clock.sleep(SETTLE)
        self.require_own()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if _stored(self.client, self.name).get("token") == self.token:
                self.client.delete_registered_model_tag(self.name, TAG)
        except (MlflowException, RequestException):
            pass  # the registry is away: the lease ends by itself, and the error or exit that led here is told

    def renew(self) -> None:
        """Extend the lease; call it at least every 30 seconds.

        Raises:
            RolloutBusy: Another controller has taken it.
        """
        since = self.clock.time() - self._renewed
        if since >= SECONDS / 3 or since < 0:  # below 0, the clock was set back
            self.require_own()
            self._write()

    def _take(self) -> None:
        with self.ledger.storage.lock(self.name):
            now = self.clock.time()
            held = holder(self.client, self.name, now)
            if held and held["token"] != self.token:
                raise RolloutBusy.by(self.name, str(held["owner"]), float(str(held["expires"])) - now)
            self._write()

    def _write(self) -> None:
        host, pid = socket.gethostname(), os.getpid()
        self._renewed = self.clock.time()
        values = {
            "owner": f"{actor()} on {host}, process {pid}", "host": host, "pid": pid, "started": started_at(pid),
            "token": self.token, "expires": self._renewed + SECONDS,
        }  # fmt: skip
        self.client.set_registered_model_tag(self.name, TAG, json.dumps(values))

    def require_own(self) -> None:
        """Check that nobody has taken it.

        Raises:
            RolloutBusy: Another controller has.
        """
        held = _stored(self.client, self.name)
        if held.get("token") != self.token:
            raise RolloutBusy.lost(self.name, str(held.get("owner", "another command")))


def retried(write: Callable[[], object], clock: Clock) -> None:
    """Call a function again while another command holds the ledger's lock.

    Raises:
        PromotionBusy: The other command holds it for longer than a moment.
    """
    for attempt in range(ATTEMPTS):
        try:
            write()
            break
        except PromotionBusy:
            if attempt == ATTEMPTS - 1:
                raise
            clock.sleep(PAUSE)


def holder(client: MlflowClient, name: str, now: float) -> dict[str, object]:
    """Lease of a controller that may still run; empty without one."""
    held = _stored(client, name)
    return held if held and float(str(held["expires"])) > now and not _has_ended(held) else {}


def is_held(client: MlflowClient, name: str, now: float) -> bool:
    """True if a controller that may still run holds the lease."""
    return bool(holder(client, name, now))


def is_left_behind(client: MlflowClient, name: str, now: float) -> bool:
    """True if a controller that was killed has left its lease."""
    return bool(_stored(client, name)) and not holder(client, name, now)


def progress_of(client: MlflowClient, name: str) -> RolloutProgress | None:
    """Progress of the rollout of a model with its controller; None without a rollout."""
    progress = stored_progress(client, name)
    if progress is None:
        return None
    return replace(progress, owner=str(holder(client, name, SYSTEM.time()).get("owner", "")))


def _stored(client: MlflowClient, name: str) -> dict[str, object]:
    """Stored lease of a model; empty without one, or if it cannot be read."""
    model = model_of(client, name)
    try:
        held = json.loads(model.tags.get(TAG, "{}")) if model else {}
    except ValueError:
        return {}
    return held if isinstance(held, dict) and held.keys() >= {"owner", "token", "expires"} else {}


def _has_ended(held: dict[str, object]) -> bool:
    """True if the holder was a process of this machine that no longer runs."""
    return held.get("host") == socket.gethostname() and started_at(int(str(held.get("pid", 0)))) != held.get(
        "started"
    )
