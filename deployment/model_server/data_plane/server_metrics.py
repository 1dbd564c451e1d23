"""What the data plane does, counted: for Prometheus as a whole, and for one endpoint in Databricks' names."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.data_plane.databricks_metrics import AsDatabricks
from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.http.errors import ApiError
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.request_log.request_log import RequestLog

OPENMETRICS = CONTENT_TYPE_LATEST
AboutVersion = Callable[[str, str], VersionSchema | None]
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_NAME = b"served-model-name"


class ServerMetrics:
    """The numbers of one server; nothing is global, so that servers of one process do not mix."""

    def __init__(
        self, fleet: Fleet, log: RequestLog, batches: Histogram, about: AboutVersion, now: Callable[[], float]
    ) -> None:
        self._fleet = fleet
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "model_server_request_seconds",
            "From the first byte of a scoring request to its answer, by who answered and how.",
            ["endpoint", "served_entity", "version", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "model_server_requests_in_flight",
            "Scoring requests that are being answered.",
            ["endpoint"],
            registry=self._registry,
        )
        self._registry.register(batches)
        self._registry.register(_Endpoints(fleet, about, now))
        self._registry.register(Logged(log))

    def exposition(self) -> bytes:
        """Everything, in the OpenMetrics text format."""
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return text

    def exposition_of(self, endpoint: Endpoint) -> bytes:
        """One endpoint, in the names of Databricks' export."""
        registry = CollectorRegistry()
        registry.register(AsDatabricks(self._seconds, endpoint.name))
        text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
        return text

    def observed(self, app: ASGIApp) -> "Observed":
        """The data plane, with a clock around it."""
        return Observed(app, self._fleet, self._seconds, self._in_flight)


class Observed:
    """Passes requests on, and notes how each was answered."""

    def __init__(self, app: ASGIApp, fleet: Fleet, seconds: Histogram, in_flight: Gauge) -> None:
        self._app = app
        self._fleet = fleet
        self._seconds = seconds
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, answer = scope["path_params"].get("name", ""), _Answer(send)
        known = name if name in self._fleet else ""  # or callers would make series at will
        in_flight = self._in_flight.labels(known)
        started = time.perf_counter()
        in_flight.inc()
        try:
            await self._app(scope, receive, answer)
        except ApiError as err:
            answer.status = answer.status or err.status
            answer.served = err.headers.get("served-model-name", "")
            raise
        except Exception:
            answer.status = answer.status or 500
            raise
        finally:
            in_flight.dec()
            labels = (known, answer.served, self._version(known, answer.served), answer.status)
            self._seconds.labels(*labels).observe(time.perf_counter() - started)

    def _version(self, endpoint: str, served: str) -> str:
        active = self._fleet.get(endpoint).active if served and endpoint in self._fleet else None
        entity = active.entity(served) if active else None
        return entity.entity_version if entity else ""


class _Answer:
    """Passes an answer on, and notes its status and who gave it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.served = ""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.served = next((value.decode() for name, value in message["headers"] if name == _NAME), "")
        await self._send(message)


class _Endpoints(Collector):
    """What the endpoints are at the moment of asking."""

    def __init__(self, fleet: Fleet, about: AboutVersion, now: Callable[[], float]) -> None:
        self._fleet = fleet
        self._about = about
        self._now = now

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily("model_server_endpoint_ready", "1: all versions answer.", labels=["endpoint"])
        age = GaugeMetricFamily(
            "model_server_model_age_seconds",
            "Since the version was registered.",
            labels=["endpoint", "served_entity", "version"],
        )
        for endpoint in map(self._fleet.get, self._fleet.names()):
            ready.add_metric([endpoint.name], float(endpoint.ready))
            for entity in endpoint.active.entities if endpoint.active else ():
                if about := self._about(*entity.model):
                    labels = [endpoint.name, entity.name, entity.entity_version]
                    age.add_metric(labels, self._now() - about.registered)
        yield from (ready, age)


class Logged(Collector):
    """How the request log stands."""

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "model_server_log_rows_waiting", "Of the request log, to be written.", value=self._log.waiting
        )
        yield CounterMetricFamily(
            "model_server_log_rows_lost", "Of the request log, never written.", value=self._log.lost
        )
