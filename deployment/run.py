"""`python -m deployment.run COMMAND`: from a challenger to an answering endpoint, and back."""

import sys
from datetime import UTC, datetime
from functools import partial

import click

from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import Settings

NOT_PROMOTED = 3
_NAMED = partial(click.option, "--use-case", "name", help="A file in training/use_cases, without its ending.")
USE_CASE, NAMED = _NAMED(required=True), _NAMED()
MODEL = click.option(
    "--model", metavar="CATALOG.SCHEMA.NAME", help="Instead of --use-case, or to hold it to: its registered model."
)
_REASON = partial(click.option, "--reason", help="Why, in a sentence; the ledger keeps it.")
REASON, REASON_OR_TAG = _REASON(required=True), _REASON()
VERSION = click.option("--version", type=click.IntRange(0), help="Only if the challenger is this one; 0 is any.")


@click.group()
def main() -> None:
    """Test, promote and serve models. Exit codes: 0 done, 1 error, 2 wrong usage, 3 not promoted."""


def _of_model(name: str | None, model: str | None) -> str:
    """The use case that is named, or whose model is; a deployment job gives both, and either may be empty."""
    own = (model or "").rpartition(".")[2]
    if not (name or own):
        raise click.UsageError("say --use-case, or --model")
    if name and own and name != own:
        raise click.UsageError(f"--use-case is {name}, and --model is {model}")
    return name or own


def _moment(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """The time that a person names, as the history shows it or by ISO 8601."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as err:
        told = f"'{text}' is no time: say a day (2026-11-27), or 2026-11-27 15:00, or 2026-11-27T15:00:00+01:00"
        raise click.BadParameter(told) from err
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@main.command()
@NAMED
@MODEL
@VERSION
@click.option("--dry-run", is_flag=True, help="Show the verdict; change and record nothing.")
@click.option(
    "--explain", type=click.IntRange(1), metavar="VERSION", help="Show the last verdict on a version instead."
)
def promote(name: str | None, model: str | None, version: int | None, dry_run: bool, explain: int | None) -> None:
    """Judge the challenger; promote it if it meets every criterion. Exits with 3 if it does not."""
    from deployment.commands import promote as command

    settings, use_case = Settings.from_environment(), _of_model(name, model)
    if explain is not None:
        command.explain(use_case, explain, settings)
    elif not command.promote(use_case, settings, version or None, dry_run=dry_run):
        sys.exit(NOT_PROMOTED)


@main.command()
@NAMED
@MODEL
@VERSION
@REASON_OR_TAG
@click.option("--by-tag", is_flag=True, help="Instead: a person has set the version's tag approval to Approved.")
def approve(name: str | None, model: str | None, version: int | None, reason: str | None, by_tag: bool) -> None:
    """Say that a person wants the challenger, where the use case asks for that; good until the champion changes."""
    from deployment.commands import overrides as command

    if by_tag == (reason is not None):
        raise click.UsageError("say --reason, or --by-tag")
    command.approve(_of_model(name, model), Settings.from_environment(), version or None, reason)


@main.command()
@USE_CASE
@click.option("--to", type=click.IntRange(1), metavar="VERSION", help="Instead of the champion before this one.")
@REASON
def rollback(name: str, to: int | None, reason: str) -> None:
    """Let an earlier champion be it again, once it has answered its golden rows; the endpoint follows."""
    from deployment.commands import overrides as command

    command.rollback(name, Settings.from_environment(), to, reason)


@main.command()
@USE_CASE
@REASON
def reset_ledger(name: str, reason: str) -> None:
    """Say that the model was deleted and trained anew, or the ledger lost; what was said before counts no more."""
    from deployment.commands import overrides as command

    command.reset_ledger(name, Settings.from_environment(), reason)


@main.command()
@USE_CASE
@REASON
def freeze(name: str, reason: str) -> None:
    """Let nothing be promoted until `unfreeze`; a rollback stays possible."""
    from deployment.commands import overrides as command

    command.freeze(name, Settings.from_environment(), reason)


@main.command()
@USE_CASE
@REASON
def unfreeze(name: str, reason: str) -> None:
    """Let promotion go on."""
    from deployment.commands import overrides as command

    command.unfreeze(name, Settings.from_environment(), reason)


@main.command()
@USE_CASE
@click.option(
    "--at",
    callback=_moment,
    metavar="TIME",
    help="Only the change that made the champion of this time, in UTC unless it says otherwise.",
)
@click.option("--json", "as_json", is_flag=True, help="For scripts: every field of every entry, and its hash.")
def history(name: str, at: datetime | None, as_json: bool) -> None:
    """Show which version was in production when, who changed it and why."""
    from deployment.commands import history as command

    command.history(name, Settings.from_environment(), at, as_json=as_json)


@main.command()
@USE_CASE
@click.option("--repair", is_flag=True, help="First finish what a command left open.")
def verify(name: str, repair: bool) -> None:
    """Check that the ledger is what was written, and that the registry is as it says."""
    from deployment.commands import verify as command

    command.verify(name, Settings.from_environment(), repair=repair)


@main.command()
@click.option("--use-case", "name", help="Let its endpoint serve its champion; without it, the server alone.")
@click.option("--detach", is_flag=True, help="Return as soon as it answers.")
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of the port of MODEL_SERVER.")
def serve(name: str | None, detach: bool, port: int | None) -> None:
    """Start the model server; with --use-case, let its endpoint serve the champion. A workspace has its server."""
    settings = Settings.from_environment()
    if settings.feature_store == "databricks":
        from deployment.commands import workspace

        if name is None:
            raise click.UsageError("say --use-case: the workspace runs the server")
        workspace.serve(name, settings)
        return
    if detach:
        from deployment.commands import serve as command

        command.serve_detached(name, settings, port)
        return
    from deployment.commands import foreground

    foreground.serve(ServerSettings.of(settings, port), name)


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
    stopped = server_process.stop(ServerSettings.of(Settings.from_environment()))
    console.detail("stopped" if stopped else "no model server ran")


if __name__ == "__main__":
    console.run_command(main)
