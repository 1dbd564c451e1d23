"""`serve`: in the background, in the foreground, or on the endpoint of a workspace.

Imports are lazy: a server in the foreground must not keep MLflow and the SDK in memory.
"""

import click

from lakehouse.settings import Settings


def serve(  # noqa: PLR0913  (options of the command)
    name: str | None,
    settings: Settings,
    port: int | None,
    workers: int = 0,
    *,
    detach: bool,
    follow: bool = False,
    webhook: tuple[str, ...] = (),
) -> None:
    """Start the model server, or update the endpoint of a workspace.

    Args:
        name: use case whose champion is served; None starts the server only.
        port: replaces the port of MODEL_SERVER; without both, the next free port from 8080 on.
        workers: processes of each compiled model that predict requests of many rows.
        detach: True for a server in the background.
        follow: True to roll out each new champion too; in a workspace the caller does so.
        webhook: options of `follow` for a webhook.

    Raises:
        LakehouseError: The server cannot start, or the champion cannot be served.
        click.UsageError: A workspace needs a use case, since it runs the server itself.
    """
    if settings.home.runs_model_server:
        from deployment.commands.serving import workspace

        if name is None:
            raise click.UsageError("pass --use-case: the workspace runs the server")
        workspace.serve(name, settings)
    elif detach:
        from deployment.commands.serving import detached

        detached.serve_detached(name, settings, port, workers)
    else:
        from deployment.commands.serving import foreground
        from deployment.commands.serving.address import settings_to_serve

        foreground.serve(settings_to_serve(settings, port, workers), name, follow=follow, webhook=webhook)
