"""`follow`: watches the champion alias, and rolls a new champion out by itself."""

import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from deployment.commands.open_gate import gate_of
from deployment.commands.rollouts.open_rollout import RolloutOptions, carry_out, with_time
from deployment.commands.rollouts.webhook_registration import WebhookAddress, woken_by_webhooks
from deployment.model_server.clock import SYSTEM
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

POLL_SECONDS = 10.0


@dataclass(frozen=True)
class EndingClock:
    """The system's clock, whose pauses end with an exit once somebody asked for it.

    SIGTERM raises SystemExit wherever the process is, and a library may swallow that.
    """

    ended: threading.Event

    def time(self) -> float:
        return SYSTEM.time()

    def sleep(self, seconds: float) -> None:
        if self.ended.wait(seconds):
            sys.exit(0)


@dataclass
class Follower:
    """Looks at the champion alias again and again.

    Attributes:
        name: use case.
        settings: settings of the environment.
        poll: time between two looks, in seconds.
        tell: prints one line about an event.
        woken: set by whoever knows that the alias has moved.
        ended: set to stop after the current look.
    """

    name: str
    settings: Settings
    poll: float = POLL_SECONDS
    tell: Callable[[str], None] = with_time
    woken: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    _problem: str = ""

    def run(self) -> None:
        """Follow until Ctrl-C. A problem is told once, and looked at again."""
        self.tell(f"following the champion of {self.name}")
        while not self.ended.is_set():
            try:
                self.look()
                self._told("")
            except LakehouseError as err:
                self._told(err.failed)
            self.woken.wait(self.poll)
            self.woken.clear()

    def look(self) -> None:
        """Roll the champion out if the endpoint does not serve it.

        Raises:
            LakehouseError: There is no champion or no server, or the rollout is refused or failed.
        """
        with gate_of(self.name, self.settings) as gate:
            options = RolloutOptions(patient=True, clock=EndingClock(self.ended), tell=self.tell)
            carry_out(gate, self.settings, options)

    def _told(self, problem: str) -> None:
        if problem and problem != self._problem:
            self.tell(problem)
        elif self._problem and not problem:
            self.tell("solved; following")
        self._problem = problem


def follow(name: str, settings: Settings, poll: float, url: str | None, listen: tuple[str, int]) -> None:
    """Follow a champion until Ctrl-C or SIGTERM, after which lease and webhook are given back.

    Args:
        name: use case.
        settings: settings of the environment.
        poll: time between two looks, in seconds.
        url: address at which an MLflow server sends webhooks; None to look only.
        listen: host and port at which they are received.

    Raises:
        ReceiverNotStarted: The address cannot be listened at.
    """
    follower = Follower(name, settings, poll)

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt what is given back
        follower.ended.set()  # also if the exit is swallowed by a library that runs at this moment
        follower.woken.set()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    if url is None:
        follower.run()
        return
    with woken_by_webhooks(WebhookAddress(url, listen), name, settings, follower.woken, follower.tell):
        follower.run()
