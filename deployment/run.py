"""`python -m deployment.run promote | serve | ask | status | stop`: from a challenger to an answering endpoint."""

import sys

import click

from deployment.model_server import process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

NOT_PROMOTED = 3
USE_CASE = click.option("--use-case", "name", required=True, help="A file in training/use_cases, without its ending.")


@click.group()
def main() -> None:
    """Test, promote and serve models. Exit codes: 0 done, 1 error, 2 wrong usage, 3 not promoted."""


@main.command()
@USE_CASE
def promote(name: str) -> None:
    """Judge the challenger; promote it if it meets every criterion."""
    from deployment.commands import promote as command

    if not command.promote(name, Settings.from_environment()):
        sys.exit(NOT_PROMOTED)


@main.command()
@click.option("--use-case", "name", help="Serve its champion at its endpoint; without it, the server alone.")
@click.option("--detach", is_flag=True, help="Return as soon as it answers.")
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of the port of MODEL_SERVER.")
def serve(name: str | None, detach: bool, port: int | None) -> None:
    """Start the model server; with --use-case, let its endpoint serve the champion."""
    settings = Settings.from_environment()
    if detach:
        from deployment.commands import serve as command

        command.serve_detached(name, settings, port)
        return
    if name:
        raise LakehouseError(
            "--use-case needs --detach: a server in the foreground ends with its command",
            hint=f"python -m deployment.run serve --use-case {name} --detach",
        )
    from deployment.commands import foreground

    foreground.serve(ServerSettings.of(settings, port))


@main.command()
@USE_CASE
def ask(name: str) -> None:
    """Send the golden request to the endpoint; show the request, the answer and what to try next."""
    from deployment.commands import ask as command

    command.ask(name, Settings.from_environment())


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts: host, token_file, pid, endpoints.")
def status(as_json: bool) -> None:
    """Show the server and what each endpoint serves; exits with 0 also when none runs."""
    from deployment.commands import status as command

    command.show(Settings.from_environment(), as_json=as_json)


@main.command()
def stop() -> None:
    """End the server that `serve --detach` started."""
    stopped = process.stop(ServerSettings.of(Settings.from_environment()))
    console.detail("stopped" if stopped else "no model server ran")


if __name__ == "__main__":
    console.run_command(main)
