"""`serve` without `--detach`: the server in this process, and on a terminal one live line of statistics."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import requests
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from rich.live import Live
from rich.text import Text

from deployment.commands.serving.deploy_when_ready import deployed
from deployment.model_server.http.auth import Tokens
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console

REFRESH_SECONDS = 1.0


def serve(
    settings: ServerSettings, name: str | None = None, *, follow: bool = False, webhook: tuple[str, ...] = ()
) -> None:
    """Serve until Ctrl-C. Without a terminal, the log goes to standard error, for a log collector.

    Args:
        name: use case whose champion is deployed as soon as the server is ready.
        follow: True to roll out each new champion of the use case too.
        webhook: options of `follow` for a webhook.

    Raises:
        LakehouseError: The server cannot start, or the champion cannot be served.
    """
    on_terminal = console.OUT.is_terminal
    with ExitStack() as contexts:
        if name:
            contexts.enter_context(deployed(settings, name, follow=follow, webhook=webhook))
        if on_terminal:
            console.stage(f"Serving at {settings.url}; Ctrl-C stops it. Log: {settings.log_file}")
            contexts.enter_context(_live_statistics(settings))
        server_process.serve(settings, to_file=on_terminal)


@dataclass(frozen=True)
class ServerStatistics:
    """Totals of a server since its start, read from its metrics."""

    ready: int = 0
    endpoints: int = 0
    succeeded: int = 0
    refused: int = 0
    failed: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, exposition: str) -> "ServerStatistics":
        """Parse the text of `/metrics`."""
        samples = [sample for family in _families(exposition) for sample in family.samples]
        ready = [sample.value for sample in samples if sample.name == "model_server_endpoint_ready"]
        by_status = Counter[str]()
        for sample in samples:
            if sample.name == "model_server_request_seconds_count":
                by_status[sample.labels["status"][0]] += int(sample.value)
        seconds = sum(sample.value for sample in samples if sample.name == "model_server_request_seconds_sum")
        return cls(int(sum(ready)), len(ready), by_status["2"], by_status["4"], by_status["5"], seconds)

    @property
    def requests(self) -> int:
        return self.succeeded + self.refused + self.failed

    def line(self, before: "ServerStatistics", elapsed: float) -> str:
        """Format the statistics; rate and time of a request are measured since `before`.

        >>> ServerStatistics(1, 2, 30, 1, 0, 0.062).line(ServerStatistics(1, 2, 0, 0, 0, 0.0), 2.0)
        '1 of 2 endpoints ready   30 succeeded, 1 refused, 0 failed   16/s   2.0 ms a request'
        """
        new = self.requests - before.requests
        took = f"{(self.seconds - before.seconds) / new * 1000:.1f} ms a request" if new else "idle"
        counts = f"{self.succeeded:,} succeeded, {self.refused:,} refused, {self.failed:,} failed"
        return f"{self.ready} of {self.endpoints} endpoints ready   {counts}   {new / elapsed:.0f}/s   {took}"


@contextmanager
def _live_statistics(settings: ServerSettings) -> Iterator[None]:
    ended = threading.Event()
    watcher = threading.Thread(target=_refresh, args=(settings, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(2 * REFRESH_SECONDS)


def _refresh(settings: ServerSettings, ended: threading.Event) -> None:
    """Scrape over HTTP, as Prometheus does: the metrics cover every process of the server."""
    before, moment = ServerStatistics(), time.monotonic()
    with Live(Text("  starting"), console=console.OUT, auto_refresh=False, transient=True) as live:
        while not ended.wait(REFRESH_SECONDS):
            try:
                numbers = ServerStatistics.read(_scrape(settings))
            except requests.RequestException:
                continue  # the server is starting or stopping
            now = time.monotonic()
            live.update(Text(f"  {numbers.line(before, now - moment)}"), refresh=True)
            before, moment = numbers, now


def _scrape(settings: ServerSettings) -> str:
    headers = {"authorization": f"Bearer {Tokens.of(settings).data.decode()}"}
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(settings.authority) if settings.authority else True
        answer = session.get(f"{settings.url}/metrics", headers=headers, timeout=REFRESH_SECONDS)
        answer.raise_for_status()
        return answer.text


def _families(exposition: str) -> Iterator[Metric]:
    yield from text_string_to_metric_families(exposition)  # type: ignore[no-untyped-call]
