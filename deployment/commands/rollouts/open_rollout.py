"""Rollout of a use case: its parts opened from the settings, and carried out under a lease."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from databricks.sdk import WorkspaceClient

from deployment.commands.rollouts.golden_rows import golden_rows
from deployment.commands.rollouts.logged_answers import logged_answers
from deployment.commands.serving.champion_endpoint import serving_client
from deployment.commands.serving.detached import NoServer
from deployment.endpoints import endpoint_client
from deployment.endpoints.waiting import WaitLimit
from deployment.gate.gate import Gate
from deployment.ledger import aliases
from deployment.model_server.clock import SYSTEM, Clock
from deployment.rollout.beginning import Aim, RolloutRefused, begun
from deployment.rollout.controller import Controller
from deployment.rollout.findings import Findings
from deployment.rollout.journal import LedgerJournal
from deployment.rollout.lease import Lease, is_left_behind
from deployment.rollout.outages import Outages, guarded
from deployment.rollout.ports import RolloutPorts
from deployment.rollout.progress import ProgressTags
from deployment.rollout.state import Phase, Rollout
from deployment.rollout.target import EndpointTarget
from lakehouse import console
from lakehouse.settings import Settings
from training.use_case.rollout import RolloutPlan


@dataclass(frozen=True)
class RolloutOptions:
    """Options of a rollout.

    Attributes:
        at_once: True to move all traffic after the golden rows, without steps.
        retry: True to begin although an earlier rollout of the version was rolled back.
        patient: True to wait while the rollout is paused.
        clock: time and pauses.
        tell: prints one line about an event.
    """

    at_once: bool = False
    retry: bool = False
    patient: bool = False
    clock: Clock = SYSTEM
    tell: Callable[[str], None] = console.detail


@dataclass(frozen=True)
class RenewingClock:
    """A clock whose pauses renew a lease: an endpoint can take minutes to load a version."""

    clock: Clock
    renew: Callable[[], None]

    def time(self) -> float:
        return self.clock.time()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.renew()


def with_time(text: str) -> None:
    """Print an event with its time, one line each."""
    console.verbatim(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}")


def carry_out(
    gate: Gate, settings: Settings, options: RolloutOptions, client: WorkspaceClient | None = None
) -> Rollout | None:
    """Continue the rollout of a use case, or begin one if its endpoint does not serve the champion.

    Args:
        gate: gate of the use case.
        settings: settings of the environment.
        options: options of the rollout.
        client: client of the server; None for the one of the settings.

    Returns:
        The rollout, ended or paused; None if the endpoint serves the champion already.

    Raises:
        NoServer: There is no server.
        NoChampion: There is no champion.
        RolloutBusy: Another controller carries it out.
        RolloutRefused: The rollout of this version was rolled back before.
        RecordsUnavailable: Registry or ledger did not respond for too long.
        LakehouseError: Endpoint, registry or ledger cannot be used.
    """
    client = client or serving_client(settings)
    if client is None:
        raise NoServer.of(gate.use_case.name)
    name = gate.use_case.name
    nothing_due = _OpenRollout(gate, settings, client, options).due() is None
    if nothing_due and not is_left_behind(gate.client, name, options.clock.time()):
        return None  # without the lease, which `follow` would otherwise take at each look
    with Lease(name, gate.client, gate.ledger, options.clock) as lease:
        opened = _OpenRollout(gate, settings, client, options)
        outages = Outages(name, options.clock, options.tell, options.patient, lease.require_own)
        rollout = opened.next()  # a command that cannot even begin ends at once
        while rollout is not None:
            try:
                ended = opened.run(rollout, lease, outages)
            except KeyboardInterrupt as err:
                raise KeyboardInterrupt(
                    f"The rollout of version {rollout.version} and the traffic stay where they are. Continue it:"
                    f" python -m deployment.run rollout --use-case {gate.use_case.name}"
                ) from err
            if ended.phase is not Phase.SUPERSEDED:
                return ended
            rollout = outages.wait_out(opened.next)
        return None


def plan_of(gate: Gate) -> RolloutPlan:
    """Plan of the use case; the defaults if it declares none."""
    return gate.use_case.serving.rollout or RolloutPlan()


@dataclass
class _OpenRollout:
    gate: Gate
    settings: Settings
    client: WorkspaceClient
    options: RolloutOptions

    def next(self) -> Rollout | None:
        """The rollout to continue, or a new one, which is recorded."""
        rollout = self.due()
        if rollout is None:
            return None
        if self._journal.current() == rollout:
            self.options.tell(f"version {rollout.version}: the rollout continues after '{rollout.phase}'")
            return rollout
        self._journal.record("rollout_started", rollout, f"beside version {rollout.stable}")
        self.options.tell(f"version {rollout.version}: rollout to the endpoint '{rollout.endpoint}' started")
        return rollout

    def due(self) -> Rollout | None:
        """The rollout to continue, or a new one; None if the endpoint serves the champion. Nothing is recorded."""
        journal, name = self._journal, self.gate.use_case.name
        last = journal.current()
        if last is not None and not last.ended:
            return last
        champion = journal.champion()
        if champion is None:
            raise aliases.NoChampion.of(name)
        endpoint = self.settings.endpoint(self.gate.use_case.serving.endpoint)
        served = endpoint_client.served_by(self.client, endpoint)
        aim = Aim(self.settings.registered_model(name), endpoint, champion)
        rollout = begun(aim, served, last, self._plan(champion))
        if rollout is None:
            return None
        if (reason := journal.failure_of(champion)) and not self.options.retry:
            raise RolloutRefused.failed_before(name, champion, reason)
        if rollout.shadow and self.settings.home.runs_model_server:
            raise RolloutRefused.no_mirroring(endpoint)
        return rollout

    def run(self, rollout: Rollout, lease: Lease, outages: Outages) -> Rollout:
        clock = RenewingClock(self.options.clock, lambda: outages.wait_out(lease.renew))
        name, registry = self.gate.use_case.name, self.gate.client
        target, plan = EndpointTarget(self.client, WaitLimit(clock=clock)), plan_of(self.gate)
        findings = Findings(target, plan, lambda rollout: logged_answers(self.client, self.settings, rollout))
        ports = RolloutPorts(
            self._journal, target, ProgressTags(registry, name), lambda version: golden_rows(registry, name, version),
            findings, lease.renew, lease.require_own, clock, self.options.tell, outages,
        )  # fmt: skip
        return Controller(guarded(ports, outages), plan, self.options.patient).run(rollout)

    @property
    def _journal(self) -> LedgerJournal:
        return LedgerJournal(self.gate)

    def _plan(self, champion: int) -> RolloutPlan:
        """Plan of a new rollout. The way back to an earlier champion has no steps: it is an emergency."""
        changes = [each for each in self.gate.ledger.entries(self.gate.use_case.name) if each.changes_champion]
        way_back = bool(changes) and (changes[-1].action, changes[-1].to_version) == ("rolled_back", champion)
        at_once = {"steps": (), "shadow": False}
        return plan_of(self.gate).model_copy(update=at_once if way_back or self.options.at_once else {})
