"""Opens the gate of a use case, and updates its endpoint after a champion change."""

from collections.abc import Iterator
from contextlib import contextmanager

from deployment.commands.open_registry import registry
from deployment.gate.gate import Gate
from deployment.ledger.home import open_ledger
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.feature_store.home import open_store
from training.use_case.use_case import UseCase, load


class EndpointNotUpdated(LakehouseError):
    """The champion changed, but its endpoint still serves the earlier version."""

    @classmethod
    def of(cls, use_case: UseCase, version: int, reason: LakehouseError) -> "EndpointNotUpdated":
        return cls(
            f"version {version} is the champion, but the endpoint '{use_case.serving.endpoint}' still serves the"
            f" earlier version: {reason.failed}",
            hint=f"Update it: python -m deployment.run serve --use-case {use_case.name} --detach",
        )


@contextmanager
def gate_of(name: str, settings: Settings) -> Iterator[Gate]:
    """Open the gate of a use case with the registry and ledger of the settings."""
    use_case = load(name)
    with registry(settings) as client:
        yield Gate(use_case, client, lambda: open_store(settings), open_ledger(settings))


def update_endpoint(use_case: UseCase, version: int, settings: Settings) -> None:
    """Serve the version on the use case's endpoint, in the workspace or on the running model server.

    Raises:
        EndpointNotUpdated: The version does not load there; the endpoint still serves the earlier version.
    """
    try:
        if settings.home.runs_model_server:
            from deployment.commands.serving import workspace

            workspace.update_endpoint(use_case, version, settings)
        elif (server := server_process.running(ServerSettings.of(settings))) is not None:
            from deployment.commands.serving.detached import deploy

            deploy(server, use_case, version)
    except LakehouseError as err:
        raise EndpointNotUpdated.of(use_case, version, err) from err
