"""Opens the gate of a use case, and updates its endpoint after a champion change."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deployment.commands.open_registry import registry
from deployment.commands.use_cases import load_to_serve
from deployment.gate.gate import Gate
from deployment.ledger.home import open_ledger
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from deployment.rollout.journal import unfinished
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.feature_store.home import open_store
from training.use_case.use_case import UseCase


class EndpointNotUpdated(LakehouseError):
    """The champion changed, but its endpoint still serves the earlier version."""

    @classmethod
    def of(cls, use_case: UseCase, version: int, reason: LakehouseError) -> "EndpointNotUpdated":
        return cls(
            f"version {version} is the champion, but the endpoint '{use_case.serving.endpoint}' still serves the"
            f" earlier version: {reason.failed}",
            hint=f"Update it: python -m deployment.run serve --use-case {use_case.name} --detach",
        )

    @classmethod
    def of_other_model(cls, use_case: UseCase, version: int, reason: LakehouseError) -> "EndpointNotUpdated":
        return cls(f"version {version} of {use_case.name} is the champion, but {reason.failed}", hint=reason.hint)


@contextmanager
def gate_of(name: str, settings: Settings, load: Callable[[str], UseCase] = load_to_serve) -> Iterator[Gate]:
    """Open the gate of a use case with the registry and ledger of the settings.

    Args:
        load: `load_for_emergency` for commands that must not depend on a valid file.
    """
    use_case = load(name)
    with registry(settings) as client:
        yield Gate(use_case, client, lambda: open_store(settings), open_ledger(settings))


@contextmanager
def changing_gate(name: str, settings: Settings, load: Callable[[str], UseCase] = load_to_serve) -> Iterator[Gate]:
    """Open the gate for a command that records something, after completing a command that was interrupted.

    A command that was killed after it moved the alias leaves an entry unwritten, or the endpoint behind.
    """
    with gate_of(name, settings, load) as gate:
        with gate.locked():
            pass
        try_to_update(gate, settings)
        yield gate


def try_to_update(gate: Gate, settings: Settings) -> None:
    """Update an endpoint that is behind; print why if that fails, since the record of a command matters more."""
    try:
        update_if_behind(gate, settings)
    except LakehouseError as err:
        console.detail(err.failed)


def update_if_behind(gate: Gate, settings: Settings) -> None:
    """Serve the champion on an existing endpoint that serves only other versions of the model.

    Where traffic moves in steps, or a rollout is in progress, the command `rollout` is named instead.

    Raises:
        LakehouseError: The server does not respond, or the endpoint still serves the earlier version.
    """
    from deployment.commands.serving.champion_endpoint import champion_number, difference, is_behind

    if is_behind(gate.use_case, gate.client, settings):
        if gate.use_case.serving.rollout is not None or unfinished(gate.ledger, gate.use_case.name) is not None:
            console.detail(difference(gate.use_case, gate.client, settings))
            console.detail(f"Move the traffic: python -m deployment.run rollout --use-case {gate.use_case.name}")
            return
        console.detail(f"Found, and updated if possible: {difference(gate.use_case, gate.client, settings)}")
        update_endpoint(gate.use_case, champion_number(gate.client, gate.use_case.name) or 0, settings)


def update_endpoint(use_case: UseCase, version: int, settings: Settings) -> None:
    """Serve the version on the use case's endpoint, in the workspace or on the running model server.

    Raises:
        EndpointNotUpdated: The version does not load there; the endpoint still serves the earlier version. Or the
            endpoint serves another model, and stays unchanged.
    """
    try:
        if settings.home.runs_model_server:
            from deployment.commands.serving import workspace

            workspace.update_endpoint(use_case, version, settings)
        elif (server := server_process.running(ServerSettings.of(settings))) is not None:
            from deployment.commands.serving.detached import deploy

            deploy(server, use_case, version, settings)
    except LakehouseError as err:
        from deployment.endpoints.endpoint_client import EndpointServesOtherModel

        other = isinstance(err, EndpointServesOtherModel)
        error = EndpointNotUpdated.of_other_model if other else EndpointNotUpdated.of
        raise error(use_case, version, err) from err
