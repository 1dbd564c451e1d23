"""Options of the commands, each defined once. Nothing heavy is imported, so that `--help` is fast."""

import functools
import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from lakehouse.options.choices import OneOf
from lakehouse.options.use_case import use_case_option
from lakehouse.settings import Settings

Command = Callable[..., None]
_LENGTH = r"([1-9][0-9]{0,3}d|[1-9][0-9]{0,4}h|[1-9][0-9]{0,6}m|[1-9][0-9]{0,8}s)"  # as in a use case


def _any_if_zero(_context: click.Context, _option: click.Parameter, version: int | None) -> int | None:
    return version or None


def _time(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """Parse a time in ISO 8601 or as `history` shows it; without a zone it is in UTC."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as err:
        message = f"'{text}' is not a time; examples: 2026-11-27, 2026-11-27 15:00, 2026-11-27T15:00:00+01:00"
        raise click.BadParameter(message) from err
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _host_and_port(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise click.BadParameter(f"'{text}' is not HOST:PORT, such as 127.0.0.1:8090")
    return host.strip("[]"), int(port)


def _period(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """Check a time in ISO 8601 or a length of time such as `7d`."""
    if text is None or re.fullmatch(_LENGTH, text):
        return text
    with suppress(ValueError):
        datetime.fromisoformat(text)
        return text
    raise click.BadParameter(f"'{text}' is neither a time nor a length of time; examples: 2026-11-27, 7d, 12h")


def _length(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    if text is None or re.fullmatch(_LENGTH, text):
        return text
    raise click.BadParameter(f"'{text}' is not a length of time; examples: 1d, 6h, 30m, 10s")


_REASON = partial(click.option, "--reason", help="Reason in one sentence; recorded in the ledger.")

USE_CASE = use_case_option(required=True)
USE_CASE_TO_SERVE = use_case_option()
REASON, REASON_OR_TAG = _REASON(required=True), _REASON()
VERSION = click.option(
    "--version",
    type=click.IntRange(0),
    callback=_any_if_zero,
    help="Fail unless this version is the challenger. 0: no check.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show the verdict; change and record nothing.")
EXPLAIN = click.option(
    "--explain",
    type=click.IntRange(1),
    metavar="VERSION",
    help="Print the latest recorded verdict on VERSION and exit.",
)
BY_TAG = click.option(
    "--by-tag",
    is_flag=True,
    help="Record the approval given by the model version tag approval=Approved. Alternative to --reason.",
)
TO_VERSION = click.option(
    "--to", type=click.IntRange(1), metavar="VERSION", help="Former champion to restore. Default: the previous one."
)
AT_TIME = click.option(
    "--at", callback=_time, metavar="TIME", help="Show which version was champion at TIME (UTC by default)."
)
HISTORY_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print every field and hash of the entries as JSON."
)
STATUS_JSON = click.option(
    "--json", "as_json", is_flag=True, help="Print host, token_file, pid and endpoints as JSON."
)
TARGET = click.option(
    "--target",
    type=OneOf(["local", "spark", "databricks"]),
    default="local",
    envvar="DBT_TARGET",
    show_default=True,
    help="Target of dbt's profile, and with it the home to check.",
)
ONLINE = click.option("--online", is_flag=True, help="Also ask the workspace, Spark server and registry.")
DOCTOR_JSON = click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
REPAIR = click.option(
    "--repair", is_flag=True, help="Complete an interrupted command before checking, and update the endpoint."
)
DETACH = click.option("--detach", is_flag=True, help="Run in the background; return once the server is ready.")
PORT = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to listen on. Default: the port of MODEL_SERVER; without it, the next free one from 8080 on.",
)


def _shifts(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> list[tuple[str, float]]:
    """Parse `FIELD=NUMBER`, each of which drifts a field."""
    shifts = []
    for text in texts:
        field, _, number = text.partition("=")
        try:
            by = float(number)
        except ValueError:
            by = math.nan
        if not field or not math.isfinite(by):
            raise click.BadParameter(f"'{text}' is not FIELD=NUMBER; example: age=20")
        shifts.append((field, by))
    return shifts


INPUT = click.option("--input", "table", required=True, help="Table of raw records (schema.table).")
NEWEST = click.option(
    "--newest", type=click.IntRange(1), default=10_000, show_default=True, help="Number of newest rows to draw from."
)
SECONDS = click.option(
    "--seconds", type=click.IntRange(1, 3600), default=10, show_default=True, help="Seconds of traffic."
)
SHIFT = click.option(
    "--shift", "shifts", multiple=True, callback=_shifts, metavar="FIELD=NUMBER",
    help="Then send as much again with this added to the field; repeatable.",
)  # fmt: skip
SINCE = click.option(
    "--since", callback=_period, metavar="TIME", help="Start of the period, or how long ago. Default: 14 windows."
)
UNTIL = click.option("--until", callback=_period, metavar="TIME", help="End of the period. Default: now.")
WINDOW = click.option(
    "--window",
    callback=_length,
    metavar="LENGTH",
    help="Length of a window, such as 1d. Default: the use case's.",
)
PAYLOAD_TABLE = click.option("--table", help="Payload table (schema.table). Default: that of the endpoint.")
MONITORED_VERSION = click.option(
    "--version", type=click.IntRange(1), help="Version to monitor. Default: the champion."
)
ALL_VERSIONS = click.option("--all-versions", is_flag=True, help="Count the rows of every version of the endpoint.")
ACT = click.option("--act", is_flag=True, help="Take the recommended action: retrain or roll back.")
MONITOR_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")

CALLER = click.argument("name")
RATE = click.option(
    "--rate", type=click.FloatRange(0, 1e6, min_open=True), help="Scoring requests per second. Default: no limit."
)
BURST = click.option(
    "--burst", type=click.IntRange(1, 10**6), help="Scoring requests at once; needs --rate. Default: the rate."
)
ENDPOINTS = click.option(
    "--endpoint", "endpoints", multiple=True, help="An endpoint that the caller may use; repeatable. Default: all."
)
NO_ROLLOUT = click.option(
    "--no-rollout", is_flag=True, help="Leave the endpoint as it is; `rollout` or `follow` moves its traffic."
)
AT_ONCE = click.option("--at-once", is_flag=True, help="Move all traffic after the golden rows, without steps.")
RETRY = click.option("--retry", is_flag=True, help="Roll out a version again that was rolled back.")
DECIDE = click.option(
    "--decide",
    type=OneOf(["extend", "proceed", "abort"]),
    help="Decide about the rollout in progress: another bake, the next step, or back. Needs --reason.",
)
POLL = click.option(
    "--poll",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="Seconds between two looks at the alias champion.",
)
WEBHOOK_URL = click.option(
    "--webhook-url",
    help="With `follow`: HTTPS address at which the MLflow server reaches this command, to tell of a new champion.",
)
WEBHOOK_LISTEN = click.option(
    "--webhook-listen",
    default="127.0.0.1:8090",
    show_default=True,
    callback=_host_and_port,
    help="Address at which webhooks are received; a proxy ends TLS before it.",
)
FOLLOW = click.option("--follow", is_flag=True, help="Also roll out each new champion, as `follow` does.")
WORKERS = click.option(
    "--workers",
    type=click.IntRange(0, 64),
    default=0,
    help="Processes of each compiled model that predict requests of 16 rows or more. Default: 0, the server itself.",
)


def use_case_or_model(command: Command) -> Command:
    """Add --use-case and --model; the command receives the use case that they name as `name`."""

    @functools.wraps(command)
    def resolved(*, name: str | None, model: str | None, **values: Any) -> None:
        command(name=_resolve_use_case(name, model), **values)

    with_model = click.option(
        "--model",
        metavar="CATALOG.SCHEMA.NAME",
        help="Registered model of a use case. Alternative to --use-case.",
    )
    return use_case_option()(with_model(resolved))


def _resolve_use_case(name: str | None, model: str | None) -> str:
    """Return the use case; a deployment job passes both options, and either may be empty."""
    if not model:
        if not name:
            raise click.UsageError("pass --use-case or --model")
        return name
    settings = Settings.from_environment()
    use_case = settings.use_case_of(model)
    if use_case is None:
        models = settings.registered_model(name or "USE_CASE")
        raise click.UsageError(f"--model is {model}, but models of this deployment are named {models}")
    if name and name != use_case:
        raise click.UsageError(f"--use-case is {name}, but --model is {model}")
    return use_case
