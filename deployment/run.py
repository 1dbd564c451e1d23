"""`python -m deployment.run COMMAND`: from a challenger to a serving endpoint, and back.

Each command imports its own module when it runs: MLflow, scikit-learn and the Databricks SDK take seconds to import.
"""

import sys
from datetime import datetime
from typing import Any

import click

from deployment.commands import options
from lakehouse import console
from lakehouse.settings import Settings

NOT_PROMOTED, PAUSED = 3, 7
MEANING_OF_EXIT_CODES = (
    "Exit codes: 0 success, 1 error, 2 usage error, 3 not promoted or rolled back, 7 rollout paused; of monitor: "
    "4 alert, 5 retrain, 6 roll back."
)


@click.group(epilog=MEANING_OF_EXIT_CODES)
def main() -> None:
    """Evaluate, promote, serve and monitor models."""


@main.command()
@options.use_case_or_model
@options.VERSION
@options.DRY_RUN
@options.EXPLAIN
@options.NO_ROLLOUT
def promote(name: str, version: int | None, dry_run: bool, explain: int | None, no_rollout: bool) -> None:
    """Promote the challenger if it meets every criterion, and roll it out.

    Exits with 3 if a criterion is not met or the rollout is rolled back, with 7 if the rollout is paused.
    """
    from deployment.commands import promote as command

    settings = Settings.from_environment()
    if explain is not None:
        command.explain(name, explain, settings)
        return
    outcome = command.promote(name, settings, version, dry_run=dry_run, roll_out=not no_rollout)
    codes = {command.PromotionOutcome.NOT_PROMOTED: NOT_PROMOTED, command.PromotionOutcome.PAUSED: PAUSED}
    sys.exit(codes.get(outcome, 0))


@main.command()
@options.use_case_or_model
@options.VERSION
@options.REASON_OR_TAG
@options.BY_TAG
def approve(name: str, version: int | None, reason: str | None, by_tag: bool) -> None:
    """Approve the challenger (for use cases with manual approval). Valid until the champion changes."""
    from deployment.commands import manual_actions

    if by_tag == (reason is not None):
        raise click.UsageError("pass either --reason or --by-tag")
    manual_actions.approve(name, Settings.from_environment(), version, reason)


@main.command()
@options.USE_CASE
@options.TO_VERSION
@options.REASON
@options.NO_ROLLOUT
def rollback(name: str, to: int | None, reason: str, no_rollout: bool) -> None:
    """Restore an earlier champion and update its endpoint. It must first reproduce its golden predictions."""
    from deployment.commands import manual_actions

    manual_actions.rollback(name, Settings.from_environment(), to, reason, roll_out=not no_rollout)


@main.command()
@options.USE_CASE
@options.AT_ONCE
@options.RETRY
@options.DECIDE
@options.REASON_OR_TAG
def rollout(name: str, at_once: bool, retry: bool, decide: str | None, reason: str | None) -> None:
    """Move the traffic to the champion in steps, or continue an interrupted rollout.

    Exits with 3 if the rollout is rolled back, with 7 if it is paused.
    """
    from deployment.commands.rollouts import command
    from deployment.rollout.state import Phase

    if (decide is None) != (reason is None) or (decide and (at_once or retry)):
        raise click.UsageError("pass --decide and --reason together, without --at-once and --retry")
    settings = Settings.from_environment()
    phase = (
        command.rollout(name, settings, at_once=at_once, retry=retry)
        if decide is None or reason is None
        else command.decide(name, settings, decide, reason)
    )
    sys.exit({Phase.ROLLED_BACK: NOT_PROMOTED, Phase.PAUSED: PAUSED}.get(phase, 0) if phase else 0)


@main.command()
@options.USE_CASE
@options.POLL
@options.WEBHOOK_URL
@options.WEBHOOK_LISTEN
def follow(name: str, poll: float, webhook_url: str | None, webhook_listen: tuple[str, int]) -> None:
    """Wait for new champions, and roll each out. One line for each event; Ctrl-C ends it."""
    from deployment.commands.rollouts import follow as command

    command.follow(name, Settings.from_environment(), poll, webhook_url, webhook_listen)


@main.command()
@options.USE_CASE
@options.REASON
def reset_ledger(name: str, reason: str) -> None:
    """Continue the ledger after the model or the ledger was deleted, or the registry was restored.

    Earlier entries stay. Only those that a restored registry still knows count.
    """
    from deployment.commands import manual_actions

    manual_actions.reset_ledger(name, Settings.from_environment(), reason)


@main.command()
@options.USE_CASE
@options.REASON
def freeze(name: str, reason: str) -> None:
    """Block promotions until `unfreeze`. A rollback stays possible."""
    from deployment.commands import manual_actions

    manual_actions.freeze(name, Settings.from_environment(), reason)


@main.command()
@options.USE_CASE
@options.REASON
def unfreeze(name: str, reason: str) -> None:
    """Allow promotions again."""
    from deployment.commands import manual_actions

    manual_actions.unfreeze(name, Settings.from_environment(), reason)


@main.command()
@options.USE_CASE
@options.AT_TIME
@options.HISTORY_JSON
def history(name: str, at: datetime | None, as_json: bool) -> None:
    """Show the ledger: promotions, refusals, rollbacks, approvals and freezes."""
    from deployment.commands import history as command

    command.history(name, Settings.from_environment(), at, as_json=as_json)


@main.command()
@options.USE_CASE
@options.REPAIR
def verify(name: str, repair: bool) -> None:
    """Check the ledger, that the registry matches it, and that the endpoint serves the champion."""
    from deployment.commands import verify as command

    command.verify(name, Settings.from_environment(), repair=repair)


@main.command()
@options.USE_CASE_TO_SERVE
@options.DETACH
@options.PORT
@options.WORKERS
@options.FOLLOW
@options.WEBHOOK_URL
@options.WEBHOOK_LISTEN
def serve(  # noqa: PLR0913, PLR0917  (options of the command)
    name: str | None,
    detach: bool,
    port: int | None,
    workers: int,
    follow: bool,
    webhook_url: str | None,
    webhook_listen: tuple[str, int],
) -> None:
    """Start the model server; with --use-case, serve the champion.

    On Databricks, create or update the endpoint; no server is started.
    """
    from deployment.commands.serving import serve as command

    if follow and (detach or name is None):
        raise click.UsageError("--follow needs --use-case, and no --detach: beside a detached server run `follow`")
    if webhook_url is not None and not follow:
        raise click.UsageError("--webhook-url needs --follow")
    settings = Settings.from_environment()
    command.serve(
        name, settings, port, workers, detach=detach, follow=follow, webhook=_webhook(webhook_url, webhook_listen)
    )
    if name is not None and follow and settings.home.runs_model_server:
        from deployment.commands.rollouts import follow as follow_command

        follow_command.follow(name, settings, follow_command.POLL_SECONDS, webhook_url, webhook_listen)


def _webhook(url: str | None, listen: tuple[str, int]) -> tuple[str, ...]:
    """Options of `follow` for a webhook; none without an address."""
    return () if url is None else ("--webhook-url", url, "--webhook-listen", f"{listen[0]}:{listen[1]}")


@main.command()
@options.USE_CASE
def ask(name: str) -> None:
    """Send the use case's golden request to its endpoint and print the response."""
    from deployment.commands.serving import ask as command

    command.ask(name, Settings.from_environment())


@main.command()
@options.STATUS_JSON
def status(as_json: bool) -> None:
    """Show the server and the versions behind each endpoint. Exits with 0 even without a server."""
    from deployment.commands.serving import status as command

    command.show(Settings.from_environment(), as_json=as_json)


@main.command()
def stop() -> None:
    """Stop the server that `serve --detach` started."""
    from deployment.commands.serving import stop as command

    command.stop(Settings.from_environment())


@main.command()
@options.CALLER
@options.RATE
@options.BURST
@options.ENDPOINTS
def add_caller(name: str, rate: float | None, burst: int | None, endpoints: tuple[str, ...]) -> None:
    """Create a token for one caller of the model server, with limits, and print it."""
    from deployment.commands.serving import callers as command

    if burst is not None and rate is None:
        raise click.UsageError("--burst needs --rate: without a rate nothing is limited")
    command.add(name, rate, burst, endpoints, Settings.from_environment())


@main.command()
@options.CALLER
def remove_caller(name: str) -> None:
    """Revoke the token of a caller of the model server."""
    from deployment.commands.serving import callers as command

    command.remove(name, Settings.from_environment())


@main.command()
@options.USE_CASE
@options.INPUT
@options.NEWEST
@options.SECONDS
@options.SHIFT
def replay(name: str, table: str, newest: int, seconds: int, shifts: list[tuple[str, float]]) -> None:
    """Send rows of a table to the local endpoint, as they are and then shifted, and log them for `monitor`."""
    from deployment.commands.serving import replay as command

    command.replay(name, table, newest, seconds, shifts, Settings.from_environment())


@main.command()
@options.USE_CASE
@options.SINCE
@options.UNTIL
@options.WINDOW
@options.PAYLOAD_TABLE
@options.MONITORED_VERSION
@options.ALL_VERSIONS
@options.ACT
@options.MONITOR_JSON
def monitor(name: str, **values: Any) -> None:
    """Compare logged traffic with the data of the champion, and recommend an action.

    Exits with 0 if there is nothing to do, 4 for an alert, 5 for retraining, 6 for a rollback; with --act, with 0
    once that is done.
    """
    from deployment.commands.monitoring import command

    if values["act"] and values["all_versions"]:
        raise click.UsageError("--act judges one version: leave --all-versions out")
    sys.exit(command.monitor(name, command.MonitorOptions(**values), Settings.from_environment()))


@main.command()
@options.TARGET
@options.ONLINE
@options.DOCTOR_JSON
def doctor(target: str, online: bool, as_json: bool) -> None:
    """Check packages, profile, credentials, registry, tables and machine. Exits with 1 if a finding is an error."""
    from deployment.commands.doctor import command

    if not command.doctor(target, command.settings_of(target), online=online, as_json=as_json):
        sys.exit(1)


if __name__ == "__main__":
    console.run_command(main)
