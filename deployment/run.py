"""`python -m deployment.run promote | serve | ask | status | stop`: from a challenger to an answering endpoint."""

import json
import sys

import click
from databricks.sdk import WorkspaceClient

from deployment import serving, stages
from deployment.gate import Gate
from deployment.ledger import Ledger
from deployment.model_server import process
from deployment.model_server.settings import ServerSettings
from deployment.promotion import Decision
from deployment.status import Status, endpoints_of
from lakehouse.errors import LakehouseError
from lakehouse.session import open_session
from lakehouse.settings import Settings
from lakehouse.warehouse import Warehouse
from training import console
from training.feature_store.local import LocalFeatureStore
from training.tracking import tracking
from training.use_case import UseCase, load

NOT_PROMOTED = 3
USE_CASE = click.option("--use-case", "name", required=True, help="A file in training/use_cases, without its ending.")


@click.group()
def main() -> None:
    """Test, promote and serve models. Exit codes: 0 done, 1 error, 2 wrong usage, 3 not promoted."""


@main.command()
@USE_CASE
def promote(name: str) -> None:
    """Judge the challenger against the champion; promote it if it meets every criterion."""
    use_case, settings = load(name), Settings.from_environment()
    session, warehouse = open_session(settings.remote), Warehouse(settings.warehouse)
    with tracking(settings) as client:
        gate = Gate(use_case, client, LocalFeatureStore(session, warehouse), Ledger(session, warehouse))
        console.stage(f"Judging the challenger of {name} on its pinned holdout")
        decision = gate.judge()
        gate.apply(decision)
    show(decision)
    if not decision.promote:
        sys.exit(NOT_PROMOTED)
    server = process.running(ServerSettings.of(settings))
    if server is not None:
        deploy(client_of(server), use_case, decision.challenger)


def show(decision: Decision) -> None:
    """The verdict as a table."""
    rows = [[r.criterion, r.required, r.found, "yes" if r.passed else "no"] for r in decision.reasons]
    console.table("", ["criterion", "required", "found", "met"], rows)
    if decision.promote:
        console.detail(f"Version {decision.challenger} is the champion.")
    else:
        kept = f"version {decision.champion} stays the champion" if decision.champion else "there is no champion"
        console.detail(f"Version {decision.challenger} is not promoted; {kept}.")


@main.command()
@click.option("--use-case", "name", help="Serve its champion at its endpoint; without it, the server alone.")
@click.option("--detach", is_flag=True, help="Return as soon as the endpoint answers.")
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of the port of MODEL_SERVER.")
def serve(name: str | None, detach: bool, port: int | None) -> None:
    """Start the model server, and let a use case's endpoint serve its champion."""
    settings = Settings.from_environment()
    server_settings = ServerSettings.of(settings, port)
    use_case = load(name) if name else None
    if use_case and not detach:
        raise LakehouseError(
            "--use-case needs --detach: a server in the foreground ends with this command",
            hint=f"python -m deployment.run serve --use-case {use_case.name} --detach",
        )
    if not detach:
        console.stage(f"Serving at {server_settings.url}; Ctrl-C stops it")
        process.serve(server_settings)
        return
    version = champion_of(use_case, settings) if use_case else None
    server = process.running(server_settings) or process.serve_detached(server_settings)
    console.stage(f"The model server answers at {server.url} (process {server.pid})")
    if use_case and version:
        deploy(client_of(server), use_case, version)


def champion_of(use_case: UseCase, settings: Settings) -> int:
    """The version to serve; told before a server starts for nothing."""
    with tracking(settings) as client:
        return int(stages.champion(client, use_case.name).version)


def deploy(client: WorkspaceClient, use_case: UseCase, version: int) -> None:
    """Let the endpoint serve the version."""
    state = serving.deploy(client, use_case.serving.endpoint, use_case.name, version)
    served = ", ".join(f"version {version} ({share} %)" for version, share in state.traffic.items())
    console.detail(f"Endpoint {state.name} serves {served}")


def client_of(server: process.ServerInfo) -> WorkspaceClient:
    """A client with the server's own token."""
    return serving.connect(server.url, server.token_file.read_text(encoding="utf-8").strip())


@main.command()
@USE_CASE
def ask(name: str) -> None:
    """Send the use case's golden request to its endpoint and show both sides, with a curl that does the same."""
    use_case, settings = load(name), Settings.from_environment()
    server = running(settings)
    endpoint = use_case.serving.endpoint
    request = {"dataframe_records": [use_case.golden_request]}
    answers = serving.answer(client_of(server), endpoint, request["dataframe_records"])
    console.stage(f"POST {server.url}/serving-endpoints/{endpoint}/invocations")
    console.OUT.print_json(json.dumps(request), indent=None)
    console.stage("Answer")
    console.OUT.print_json(json.dumps({"predictions": answers}))
    console.stage("Go on")
    for line in next_commands(settings, server, use_case):
        console.OUT.print(line, soft_wrap=True, markup=False)


def next_commands(settings: Settings, server: process.ServerInfo, use_case: UseCase) -> list[str]:
    """What to try next, ready to be pasted into a shell in the project."""
    token = server.token_file.relative_to(settings.project)
    body = json.dumps({"dataframe_records": [use_case.golden_request]})
    version = serving.served_versions(client_of(server), use_case.serving.endpoint)
    report = settings.reports / use_case.name / f"version-{max(version)}.html"
    return [
        "  call the endpoint:",
        f"    curl -s {server.url}/serving-endpoints/{use_case.serving.endpoint}/invocations "
        f"-H \"Authorization: Bearer $(cat {token})\" -H 'Content-Type: application/json' -d '{body}'",
        f"  open the report:     {report.relative_to(settings.project)}",
        f"  open the MLflow UI:  .venv/bin/mlflow ui --backend-store-uri {settings.tracking_uri} --port 5000",
        "  see what serves:     .venv/bin/python -m deployment.run status",
        "  stop the server:     .venv/bin/python -m deployment.run stop",
    ]


def running(settings: Settings) -> process.ServerInfo:
    """The server of this checkout.

    Raises:
        LakehouseError: none runs.
    """
    server = process.running(ServerSettings.of(settings))
    if server is None:
        raise LakehouseError(
            "no model server runs here", hint="Start one: python -m deployment.run serve --use-case NAME --detach"
        )
    return server


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts: host, token_file, pid, endpoints.")
def status(as_json: bool) -> None:
    """Show the server and what each endpoint serves; exit with 0 also when none runs."""
    settings = Settings.from_environment()
    server = process.running(ServerSettings.of(settings))
    found = Status.of(server, endpoints_of(client_of(server)) if server else [])
    if as_json:
        click.echo(found.to_json())
        return
    if server is None:
        console.detail("no model server runs")
        return
    console.detail(f"{server.url}  process {server.pid}  token in {server.token_file}")
    rows = [
        [e.name, e.ready, e.update, ", ".join(f"{v} ({s} %)" for v, s in e.versions.items())] for e in found.endpoints
    ]
    console.table("", ["endpoint", "ready", "update", "versions"], rows)


@main.command()
def stop() -> None:
    """End the server that `serve --detach` started."""
    stopped = process.stop(ServerSettings.of(Settings.from_environment()))
    console.detail("stopped" if stopped else "no model server ran")


if __name__ == "__main__":
    with console.errors_told():
        main()
