"""The data plane: scoring requests in, predictions out."""

import asyncio
import random
import time
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prometheus_client import Counter, Histogram
from starlette.types import Receive, Scope, Send

from deployment.model_server.data_plane.admission import InFlight
from deployment.model_server.data_plane.batching import MAX_SHARED_ROWS, RequestBatcher, predict
from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.data_plane.mirroring import Mirror
from deployment.model_server.data_plane.traffic import Traffic
from deployment.model_server.endpoints.endpoint import choose
from deployment.model_server.http.content_encoding import LARGE_RESPONSE, compressed
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.record_decoder import LARGE_BODY, RecordDecoder
from deployment.model_server.http.request_body import decode, read
from deployment.model_server.http.request_facts import RequestFacts
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.http.scoring_request import ScoringRequest, parse
from deployment.model_server.models.contract_model import WORKER_ROWS, ContractModel, LoadedModel
from deployment.model_server.models.isolated_model import IsolatedModel
from deployment.model_server.request_log.payload_table import Exchange
from deployment.model_server.request_log.request_log import RequestLog
from deployment.model_server.settings import ServerSettings

THREADS = 4  # concurrent requests with more rows than a model predicts on the event loop


class InvocationMetrics(NamedTuple):
    """Metrics of the invocations: requests in each run of a model, and outcomes of copies to a shadow."""

    batch_sizes: Histogram
    shadow_responses: Counter


class Invocations:
    """Handles `POST /serving-endpoints/NAME[/served-models/ENTITY]/invocations`."""

    def __init__(
        self,
        endpoints: LiveEndpoints,
        settings: ServerSettings,
        in_flight: InFlight,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` returns a number in [0, 1) for each request without a `client_request_id`."""
        self._endpoints = endpoints
        self._settings = settings
        self._draw = draw
        self.log = RequestLog(settings.tables, draw, endpoints.tables)
        self._batcher = RequestBatcher()
        self.mirror = Mirror(self._mirrored)
        self._in_flight = in_flight
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="predict")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        table = self._endpoints.inference_table(name)
        facts = RequestFacts.of(scope)
        exchange = None if table is None else Exchange(facts.id or str(uuid.uuid4()), time.time(), facts.caller)
        try:
            traffic, served, request = await self._read(scope, receive, exchange)
            body = await self._respond(scope, served, traffic.models[served], request, exchange)
            facts.scored = time.time_ns()
            headers, plain = {"served-model-name": served}, body
            if len(body) >= LARGE_RESPONSE:
                body = await compressed(scope, body, headers)
            await send_json(send, 200, body, headers)
            self.mirror.offer(name, traffic, served, request, plain)
        except ApiError as err:
            if exchange is not None:
                exchange.status, exchange.response = err.status, serialise(err.body())
            raise
        finally:
            if table is not None and exchange is not None:
                scope["deadline"].record_timeout(exchange)
                self.log.offer(table, exchange)

    async def _read(
        self, scope: Scope, receive: Receive, exchange: Exchange | None
    ) -> tuple[Traffic, str, ScoringRequest]:
        """The traffic of this moment, the served entity, and the parsed request."""
        name, facts = scope["path_params"]["name"], RequestFacts.of(scope)
        facts.read_from = time.time_ns()
        traffic = self._endpoints.traffic(name)
        if exchange is not None:  # the rule of this moment holds, even if the endpoint changes before the response
            exchange.rule = traffic.log_rule
        body = await read(scope, receive, self._settings.max_body_bytes, self._settings.body_seconds)
        if exchange is not None:
            exchange.request = body
        large = self._decode_large(body, traffic.decoder)
        request = large or self._parse(body, exchange)
        if exchange is not None:
            exchange.client_request_id = request.client_request_id
        served = self._choose_entity(name, traffic, request, scope["path_params"].get("entity"))
        decoder = getattr(traffic.models[served], "decoder", None)
        if large is not None and decoder is not traffic.decoder:  # the values of its fields have other codes
            request = self._decode_large(body, decoder) or large
        facts.served, facts.version, facts.rows = served, traffic.versions[served], request.size
        facts.parsed = time.time_ns()
        if exchange is not None:
            exchange.served = served
        return traffic, served, request

    def _decode_large(self, body: bytes, decoder: RecordDecoder | None) -> ScoringRequest | None:
        """The request of a large body that is as usual, or None."""
        if len(body) < LARGE_BODY or decoder is None:
            return None
        return decoder.request(body, self._settings.max_rows)

    def _parse(self, body: bytes, exchange: Exchange | None) -> ScoringRequest:
        content = decode(body)
        if exchange is not None and isinstance(content, dict) and isinstance(content.get("client_request_id"), str):
            exchange.client_request_id = content["client_request_id"]
        return parse(content, self._settings.max_rows)

    async def _respond(
        self, scope: Scope, served: str, model: LoadedModel, request: ScoringRequest, exchange: Exchange | None
    ) -> bytes:
        started = time.perf_counter()
        try:
            body = await self._predictions(scope["path_params"]["name"], model, request, scope["deadline"].at)
        except ApiError as err:
            err.headers["served-model-name"] = served
            raise
        except Exception as err:
            raise ApiError.internal(err, f"POST {scope['path']}", served) from err
        finally:
            if exchange is not None:
                exchange.milliseconds = (time.perf_counter() - started) * 1000
        if exchange is not None:
            exchange.status, exchange.response = 200, body
        return body

    async def _predictions(self, name: str, model: LoadedModel, request: ScoringRequest, deadline: float) -> bytes:
        """The response body; `deadline` in the time of the event loop ends a model in a process of its own."""
        if isinstance(model, ContractModel) and model.workers is not None and request.size >= WORKER_ROWS:
            model = model.workers
        inline = isinstance(model, ContractModel) and request.size <= model.inline_rows
        shared = self._in_flight.count > 1 and request.size <= MAX_SHARED_ROWS
        if isinstance(model, ContractModel) and inline and shared:
            return await self._batcher.submit(name, model, request)
        self.batch_sizes.labels(name).observe(1)
        if inline:
            return predict(model, request)
        if isinstance(model, IsolatedModel):
            try:
                return await model.respond(request, deadline)
            except TimeoutError as err:
                raise ApiError.deadline_exceeded(self._settings.model_seconds) from err
        return await asyncio.get_running_loop().run_in_executor(self._threads, predict, model, request)

    async def _mirrored(self, name: str, model: LoadedModel, request: ScoringRequest) -> bytes:
        """The response of a shadow; nobody waits for it."""
        deadline = asyncio.get_running_loop().time() + self._settings.model_seconds
        return await self._predictions(name, model, request, deadline)

    @property
    def batch_sizes(self) -> Histogram:
        """Number of requests in each run of a model, by endpoint."""
        return self._batcher.sizes

    @property
    def metrics(self) -> InvocationMetrics:
        """Metrics that are counted here."""
        return InvocationMetrics(self.batch_sizes, self.mirror.outcomes)

    def close(self) -> None:
        """Write the remaining rows of the request log."""
        self.log.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _choose_entity(self, name: str, traffic: Traffic, request: ScoringRequest, entity: str | None) -> str:
        if entity is None:
            return choose(traffic.routes, self._point(request) * traffic.share)
        if entity not in traffic.models:
            raise self._endpoints.entity_not_served(name, entity)
        return entity

    def _point(self, request: ScoringRequest) -> float:
        """A number in [0, 1) that chooses the route. A repeated `client_request_id` gives the same number."""
        if request.client_request_id is None:
            return self._draw()
        return zlib.crc32(request.client_request_id.encode()) / 2**32
