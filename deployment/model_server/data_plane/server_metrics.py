"""Metrics of the data plane: all of them for Prometheus, and one endpoint's under Databricks' names."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.data_plane.databricks_metrics import DatabricksCollector
from deployment.model_server.data_plane.invocations import InvocationMetrics
from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.data_plane.mirroring import ShadowCollector
from deployment.model_server.data_plane.process_metrics import ModelProcessCollector
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_facts import RequestFacts
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.request_log.request_log import RequestLog

OPENMETRICS = CONTENT_TYPE_LATEST
FindSchema = Callable[[str, str], VersionSchema | None]
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServerMetrics:
    """Metrics of one server. Its registry is not global, so that servers in one process stay separate."""

    def __init__(
        self,
        endpoints: LiveEndpoints,
        log: RequestLog,
        invocation_metrics: InvocationMetrics,
        find_schema: FindSchema,
        now: Callable[[], float],
    ) -> None:
        self._endpoints = endpoints
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "model_server_request_seconds",
            "Time from the first byte of a scoring request to its response.",
            ["endpoint", "served_entity", "version", "status"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "model_server_requests_in_flight",
            "Scoring requests in flight.",
            ["endpoint"],
            registry=self._registry,
        )
        self._by_caller = Counter(
            "model_server_caller_requests",
            "Scoring requests of the callers with a token of their own.",
            ["caller", "endpoint", "status"],
            registry=self._registry,
        )
        self._shadow_responses = invocation_metrics.shadow_responses
        for metric in invocation_metrics:
            self._registry.register(metric)
        self._registry.register(_EndpointCollector(endpoints, find_schema, now))
        self._registry.register(RequestLogCollector(log))
        self._registry.register(ModelProcessCollector(endpoints))

    def exposition(self) -> bytes:
        """All metrics in the OpenMetrics text format."""
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return text

    def exposition_of(self, endpoint: Endpoint) -> bytes:
        """Metrics of one endpoint under the names of Databricks' export."""
        registry = CollectorRegistry()
        registry.register(DatabricksCollector(self._seconds, endpoint.name))
        registry.register(ShadowCollector(self._shadow_responses, endpoint.name))
        text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
        return text

    def observe(self, endpoint: str, served: str, version: str, status: int, seconds: float) -> None:
        """Count a copy of a request like any request of its served entity."""
        self._seconds.labels(endpoint, served, version, status).observe(seconds)

    def middleware(self, app: ASGIApp) -> "MetricsMiddleware":
        """Wrap the data plane, to measure its requests."""
        return MetricsMiddleware(app, self._endpoints, self._seconds, self._in_flight, self._by_caller)


class MetricsMiddleware:
    """Passes requests on and records duration, status and served entity of each."""

    def __init__(
        self, app: ASGIApp, endpoints: LiveEndpoints, seconds: Histogram, in_flight: Gauge, by_caller: Counter
    ) -> None:
        self._app = app
        self._by_caller = by_caller
        self._endpoints = endpoints
        self._seconds = seconds
        self._in_flight = in_flight
        self._series: dict[tuple[object, ...], Histogram] = {}  # looked up faster than by `labels`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, response = scope["path_params"].get("name", ""), _ObservedSend(send)
        facts = RequestFacts.of(scope)
        # Otherwise callers could create any number of series.
        known = facts.endpoint = name if name in self._endpoints else ""
        in_flight = self._in_flight.labels(known)
        started = time.perf_counter()
        in_flight.inc()
        try:
            await self._app(scope, receive, response)
        except ApiError as err:
            response.status = response.status or err.status
            raise
        except BaseException:  # also a task that is cancelled
            response.status = response.status or 500
            raise
        finally:
            in_flight.dec()
            # The version of the choice, not of the moment: the endpoint may have changed since.
            labels = (known, facts.served, facts.version, response.status)
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = self._seconds.labels(*labels)
            series.observe(time.perf_counter() - started)
            if scope["caller"].listed:
                self._by_caller.labels(facts.caller, known, response.status).inc()


class _ObservedSend:
    """Passes a response on and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class _EndpointCollector(Collector):
    """Exports the state of the endpoints at the time of the scrape."""

    def __init__(self, endpoints: LiveEndpoints, find_schema: FindSchema, now: Callable[[], float]) -> None:
        self._endpoints = endpoints
        self._find_schema = find_schema
        self._now = now

    def collect(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(
            "model_server_endpoint_ready", "1 if all versions are loaded, else 0.", labels=["endpoint"]
        )
        age = GaugeMetricFamily(
            "model_server_model_age_seconds",
            "Time since the version was registered.",
            labels=["endpoint", "served_entity", "version"],
        )
        for endpoint in map(self._endpoints.get, self._endpoints.names()):
            ready.add_metric([endpoint.name], float(endpoint.ready))
            for entity in endpoint.active.entities if endpoint.active else ():
                if schema := self._find_schema(*entity.model):
                    labels = [endpoint.name, entity.name, entity.entity_version]
                    age.add_metric(labels, self._now() - schema.registered)
        yield from (ready, age)


class RequestLogCollector(Collector):
    """Exports the number of waiting and lost rows of the request log."""

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "model_server_log_rows_waiting", "Rows of the request log not written yet.", value=self._log.waiting
        )
        yield CounterMetricFamily(
            "model_server_log_rows_lost", "Rows of the request log never written.", value=self._log.lost
        )
