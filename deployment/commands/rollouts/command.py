"""`rollout`: move the traffic to the champion in steps, or decide about a rollout that is paused."""

from deployment.commands.open_gate import gate_of
from deployment.commands.rollouts.open_rollout import RolloutOptions, carry_out, with_time
from deployment.commands.serving.detached import NoServer
from deployment.model_server.clock import SYSTEM
from deployment.rollout.journal import LedgerJournal
from deployment.rollout.lease import RolloutBusy, is_held
from deployment.rollout.state import Phase, Rollout, RolloutChoice
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings


class NothingToDecide(LakehouseError):
    """No rollout is in progress."""

    @classmethod
    def of(cls, name: str) -> "NothingToDecide":
        return cls(
            f"no rollout of {name} is in progress",
            hint=f"Show the last ones: python -m deployment.run history --use-case {name}",
        )


def rollout(name: str, settings: Settings, *, at_once: bool, retry: bool) -> Phase | None:
    """Continue or begin the rollout of the champion; return the phase that it reached, None if nothing was to do."""
    with gate_of(name, settings) as gate:
        last = carry_out(gate, settings, RolloutOptions(at_once=at_once, retry=retry, tell=with_time))
    if last is None:
        console.detail(f"The endpoint of {name} serves the champion already")
        return None
    show(name, last)
    return last.phase


def roll_out_champion(name: str, settings: Settings) -> Phase | None:
    """Roll out a champion after its promotion; return the phase that it reached, None if nothing was to do here."""
    try:
        return rollout(name, settings, at_once=False, retry=False)
    except RolloutBusy as err:
        console.detail(f"{err.failed}; it goes on with this champion")
    except NoServer:
        console.detail(f"No model server is running. Start one: python -m deployment.run serve --use-case {name}")
    return None


def decide(name: str, settings: Settings, choice: str, reason: str) -> Phase | None:
    """Record the choice of a person; without a running controller, also carry it out.

    Raises:
        NothingToDecide: No rollout is in progress.
    """
    with gate_of(name, settings) as gate:
        if LedgerJournal(gate).decide(RolloutChoice(choice), reason) is None:
            raise NothingToDecide.of(name)
        console.detail(f"Recorded: {choice}")
        if is_held(gate.client, name, SYSTEM.time()):
            console.detail("The running controller carries it out: python -m deployment.run status")
            return None
    return rollout(name, settings, at_once=False, retry=False)


def show(name: str, last: Rollout) -> None:
    """Print how a rollout ended, or how to go on."""
    command = f"python -m deployment.run rollout --use-case {name}"
    if last.phase is Phase.PAUSED:
        console.detail(f"The rollout of version {last.version} is paused: {last.reason}")
        for choice, meaning in (
            (RolloutChoice.EXTEND, "another bake"),
            (RolloutChoice.PROCEED, "the next step"),
            (RolloutChoice.ABORT, f"back to version {last.stable}"),
        ):
            console.detail(f"{meaning:<20} {command} --decide {choice} --reason ...")
    elif last.phase is Phase.ROLLED_BACK:
        console.detail(f"Version {last.version} was rolled back: {last.reason}")
