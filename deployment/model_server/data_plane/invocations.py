"""The data plane: rows in, predictions out."""

import asyncio
import random
import time
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Histogram
from starlette.types import Receive, Scope, Send

from deployment.model_server.data_plane.admission import UnderWay
from deployment.model_server.data_plane.batching import Batching
from deployment.model_server.data_plane.fleet import Fleet, Traffic
from deployment.model_server.endpoints.endpoint import choose
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import decode, read
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.http.scoring_request import ScoringRequest, parse
from deployment.model_server.models.loader import ContractModel, LoadedModel
from deployment.model_server.request_log.payload_table import Exchange
from deployment.model_server.request_log.request_log import RequestLog
from deployment.model_server.settings import ServerSettings

THREADS = 4  # as many requests at once as the workload size Small has on Databricks


class Invocations:
    """Answers `POST /serving-endpoints/NAME[/served-models/ENTITY]/invocations`."""

    def __init__(
        self, fleet: Fleet, settings: ServerSettings, under_way: UnderWay, draw: Callable[[], float] = random.random
    ) -> None:
        """`draw` returns a number from [0, 1) for each request that brings no id of its own."""
        self._fleet = fleet
        self._settings = settings
        self._draw = draw
        self.log = RequestLog(settings.tables, draw, fleet.tables)
        self._gathering = Batching()
        self._under_way = under_way
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="answer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        table = self._fleet.inference_table(name)
        exchange = None if table is None else Exchange(str(uuid.uuid4()), time.time(), scope.get("level"))
        try:
            served, model, request = await self._read(scope, receive, exchange)
            answer = await self._answer(name, served, model, request, exchange)
            await send_json(send, 200, answer, {"served-model-name": served})
        except ApiError as err:
            if exchange is not None:
                exchange.status, exchange.response = err.status, serialise(err.body())
            raise
        finally:
            if table is not None and exchange is not None:
                scope["deadline"].correct(exchange)
                self.log.offer(table, exchange)

    async def _read(
        self, scope: Scope, receive: Receive, exchange: Exchange | None
    ) -> tuple[str, LoadedModel, ScoringRequest]:
        """Whom a request is for, and what it asks."""
        name = scope["path_params"]["name"]
        traffic = self._fleet.traffic(name)
        if exchange is not None:  # what comes of the endpoint meanwhile changes nothing of what may be logged
            exchange.rule = traffic.log_rule
        body = await read(scope, receive, self._settings.max_body_bytes, self._settings.body_seconds)
        if exchange is not None:
            exchange.request = body
        said = decode(body)
        if exchange is not None and isinstance(said, dict) and isinstance(said.get("client_request_id"), str):
            exchange.client_request_id = said["client_request_id"]
        request = parse(said, self._settings.max_rows)
        served = self._served(name, traffic, request, scope["path_params"].get("entity"))
        if exchange is not None:
            exchange.served = served
        return served, traffic.models[served], request

    async def _answer(
        self, name: str, served: str, model: LoadedModel, request: ScoringRequest, exchange: Exchange | None
    ) -> bytes:
        started = time.perf_counter()
        try:
            answer = await self._predictions(name, model, request)
        except ApiError as err:
            err.headers["served-model-name"] = served  # which version refused
            raise
        finally:
            if exchange is not None:
                exchange.milliseconds = (time.perf_counter() - started) * 1000
        if exchange is not None:
            exchange.status, exchange.response = 200, answer
        return answer

    async def _predictions(self, name: str, model: LoadedModel, request: ScoringRequest) -> bytes:
        quick = isinstance(model, ContractModel) and request.size <= model.quick_rows
        if isinstance(model, ContractModel) and quick and self._under_way.count > 1:
            return await self._gathering.answer(name, model, request)
        self.batches.labels(name).observe(1)
        if quick:
            return model.predictions(request)
        return await asyncio.get_running_loop().run_in_executor(self._threads, model.predictions, request)

    @property
    def batches(self) -> Histogram:
        """How many requests were answered by one run of a model, by endpoint."""
        return self._gathering.sizes

    def close(self) -> None:
        """Write what is still to be logged."""
        self.log.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _served(self, name: str, traffic: Traffic, request: ScoringRequest, entity: str | None) -> str:
        if entity is None:
            return choose(traffic.routes, self._point(request) * traffic.share)
        if entity not in traffic.models:
            raise self._fleet.unserved(name, entity)
        return entity

    def _point(self, request: ScoringRequest) -> float:
        """A request that is sent again under its id meets the same version again."""
        if request.client_request_id is None:
            return self._draw()
        return zlib.crc32(request.client_request_id.encode()) / 2**32
