"""Traces by OpenTelemetry: a span for each request, with one for parsing and one for scoring.

The SDK reads its own variables: address, headers, sampling, name of the service. The spans of parsing and scoring are
made after the response from recorded times, so that the data plane knows nothing of traces.
"""

import time
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.http.request_facts import RequestFacts
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE = "model-server"
_PROPAGATED = (b"traceparent", b"tracestate")


def provider_of(exporter: str) -> "TracerProvider":
    """The provider of spans for an exporter: `otlp` or `console`. It is not global: MLflow has one of its own.

    Raises:
        LakehouseError: the exporter is unknown or not installed.
    """
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = _provider()
    provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
    return provider


def _provider() -> "TracerProvider":
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    named = Resource({"service.name": SERVICE}).merge(OTELResourceDetector().detect())
    return TracerProvider(resource=named)


def _exporter(name: str) -> "SpanExporter":
    if name not in {"otlp", "console"}:
        raise LakehouseError(
            f"the model server cannot export traces to '{name}'",
            hint="Set OTEL_TRACES_EXPORTER to otlp, console or none.",
        )
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as err:
        raise LakehouseError(
            "traces are on (OTEL_* variables), but the exporter is not installed",
            hint="Install it: .venv/bin/uv pip install '.[otel]', or set OTEL_TRACES_EXPORTER=none",
        ) from err
    return OTLPSpanExporter()


class TracingMiddleware:
    """Records the spans of each request. A W3C `traceparent` of the caller makes them part of its trace."""

    def __init__(self, app: ASGIApp, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self._tracer = provider.get_tracer("deployment.model_server")
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts, started, status = RequestFacts.of(scope), time.time_ns(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            self._record(scope, facts, started, status)

    def _record(self, scope: Scope, facts: RequestFacts, started: int, status: int) -> None:
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        carrier = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PROPAGATED}
        attributes: dict[str, Any] = {
            "http.request.method": scope["method"],
            "url.path": scope["path"][:200],
            "http.response.status_code": status,
            "model_server.caller": facts.caller,
            "model_server.endpoint": facts.endpoint,
            "model_server.served_entity": facts.served,
            "model_server.version": facts.version,
            "model_server.rows": facts.rows,
        }
        name = f"{scope['method']} {facts.endpoint}".strip()
        span = self._tracer.start_span(
            name, self._propagator.extract(carrier), SpanKind.SERVER, attributes, start_time=started
        )
        inside = set_span_in_context(span)
        for step, begin, end in (
            ("parse", facts.read_from, facts.parsed),
            ("score", facts.parsed, facts.scored),
        ):
            if begin and end:
                self._tracer.start_span(step, inside, start_time=begin).end(end)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()
