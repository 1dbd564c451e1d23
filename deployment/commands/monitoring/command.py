"""`monitor`: compare live traffic with the population of a version, decide, alert, and act if asked."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.errors import PySparkException

from deployment.commands.monitoring.follow_up import follow_up
from deployment.commands.monitoring.presentation import show, to_json
from deployment.commands.monitoring.traffic import live_traffic
from deployment.commands.open_registry import registry
from deployment.commands.use_cases import load_to_serve
from deployment.monitoring.monitored_run import monitor as monitored
from deployment.monitoring.output.findings_table import open_findings
from deployment.monitoring.output.metrics import log_run, write_prometheus
from deployment.monitoring.output.page import render_page
from deployment.monitoring.version import monitored_version
from deployment.monitoring.windows import Windows, format_length
from lakehouse import console
from lakehouse.errors import LakehouseError, first_line
from lakehouse.settings import Settings
from lakehouse.whole_files import replace_file
from training.use_case.monitoring import parse_length
from training.use_case.use_case import UseCase


class CountingFailed(LakehouseError):
    """The engine could not count the payload table."""

    @classmethod
    def because(cls, name: str, reason: Exception) -> "CountingFailed":
        failed = f"the traffic of {name} could not be counted: {first_line(reason)}"
        if missing := re.search("No module named '[a-z]+", str(reason)):
            return cls(
                f"{failed} ({missing[0]}')",
                hint="Workers need this project installed, see docs/monitoring.md, On Databricks.",
            )
        return cls(failed, hint="Check the engine: python -m deployment.run doctor")


@dataclass(frozen=True)
class MonitorOptions:
    """Options of the command.

    Attributes:
        since, until: start and end of the period; by default the last 14 windows that have ended.
        window: length of a window, in place of the use case's.
        table: payload table, in place of the endpoint's.
        version: version in place of the champion.
        all_versions: True to count the rows of every version.
        act: True to take the recommended action.
        as_json: True to print the result as JSON.
    """

    since: str | None = None
    until: str | None = None
    window: str | None = None
    table: str | None = None
    version: int | None = None
    all_versions: bool = False
    act: bool = False
    as_json: bool = False


def monitor(name: str, options: MonitorOptions, settings: Settings) -> int:
    """Monitor a use case; return the exit code.

    It is that of the recommended action (see `EXIT_CODES`). With `act` it is 0 if the action was taken, or was taken
    before.

    Raises:
        LakehouseError: the version or the traffic cannot be read, or an action failed.
    """
    use_case, now = load_to_serve(name), datetime.now(UTC)
    if options.window is not None:
        plan = use_case.monitoring.model_copy(update={"window": options.window})
        use_case = use_case.model_copy(update={"monitoring": plan})
    windows = _windows(use_case, options, now)
    page = settings.reports / name / "monitoring.html"
    with registry(settings) as client:
        version = monitored_version(client, name, options.version)
        if not options.as_json:
            period = f"{windows.count} windows of {format_length(windows.length)}"
            console.stage(f"Monitoring version {version.number} of {name}: {period}")
        try:
            traffic = live_traffic(
                use_case, version, windows.first, options.table, settings, every_version=options.all_versions
            )
            run = monitored(use_case, version, traffic, windows, now, _until(options, now))
        except PySparkException as err:
            raise CountingFailed.because(name, err) from err
        replace_file(page, render_page(run, use_case.monitoring))
        log_run(run, page, client, settings)
    write_prometheus(run, page.with_suffix(".prom"))
    findings = open_findings(settings)
    findings.replace(run, use_case.monitoring.actions)
    if options.as_json:
        console.verbatim(to_json(run, page))
    else:
        show(run, page, settings)
    return follow_up(run, use_case.monitoring, findings, page, settings, act=options.act)


def _windows(use_case: UseCase, options: MonitorOptions, now: datetime) -> Windows:
    length = parse_length(use_case.monitoring.window)
    until = _until(options, now)
    since = None if options.since is None else _moment(options.since, until)
    return Windows.of(length, until, since)


def _until(options: MonitorOptions, now: datetime) -> datetime:
    return now if options.until is None else min(now, _moment(options.until, now))


def _moment(text: str, now: datetime) -> datetime:
    """A time in ISO 8601, or a length of time before `now`. The option has checked the text."""
    with suppress(ValueError):
        return now - parse_length(text)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
