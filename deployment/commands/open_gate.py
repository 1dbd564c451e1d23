"""The gate of a use case, as commands open it."""

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


class EndpointBehind(LakehouseError):
    """The champion has changed, and its endpoint has not followed."""

    @classmethod
    def of(cls, use_case: UseCase, version: int, reason: LakehouseError) -> "EndpointBehind":
        return cls(
            f"version {version} is the champion, and the endpoint '{use_case.serving.endpoint}' still serves what it"
            f" served before: {reason.failed}",
            hint=f"Let it follow: python -m deployment.run serve --use-case {use_case.name} --detach",
        )


@contextmanager
def gate_of(name: str, settings: Settings) -> Iterator[Gate]:
    """The gate of a use case, in the registry and ledger of the settings."""
    use_case = load(name)
    with registry(settings) as client:
        yield Gate(use_case, client, lambda: open_store(settings), open_ledger(settings))


def follow(use_case: UseCase, version: int, settings: Settings) -> None:
    """Let the use case's endpoint serve the version, on the model server that runs or in the workspace.

    Raises:
        EndpointBehind: it does not load there; what served before still does.
    """
    try:
        if settings.feature_store == "databricks":
            from deployment.commands import workspace

            workspace.follow(use_case, version, settings)
        elif (server := server_process.running(ServerSettings.of(settings))) is not None:
            from deployment.commands.serve import deploy

            deploy(server, use_case, version)
    except LakehouseError as err:
        raise EndpointBehind.of(use_case, version, err) from err
