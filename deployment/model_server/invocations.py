"""The data plane: rows in, predictions out."""

import asyncio
import random
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.types import Receive, Scope, Send

from deployment.model_server.answers import send_json
from deployment.model_server.bodies import read_json
from deployment.model_server.endpoints import choose
from deployment.model_server.errors import ApiError
from deployment.model_server.fleet import Fleet, Traffic
from deployment.model_server.models import ContractModel
from deployment.model_server.scoring_request import ScoringRequest, parse
from deployment.model_server.settings import ServerSettings

THREADS = 4  # as many requests at once as the workload size Small has on Databricks


class Invocations:
    """Answers `POST /serving-endpoints/NAME[/served-models/ENTITY]/invocations`."""

    def __init__(self, fleet: Fleet, settings: ServerSettings, draw: Callable[[], float] = random.random) -> None:
        """`draw` returns a number from [0, 1) for each request that brings no id of its own."""
        self._fleet = fleet
        self._settings = settings
        self._draw = draw
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="answer")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path_params"]["name"]
        traffic = self._fleet.traffic(name)
        body = await read_json(scope, receive, self._settings.max_body_bytes, self._settings.body_seconds)
        request = parse(body, self._settings.max_rows)
        served = self._served(name, traffic, request, scope["path_params"].get("entity"))
        model = traffic.models[served]
        if isinstance(model, ContractModel) and request.size <= model.quick_rows:
            answer = model.predictions(request)
        else:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads, model.predictions, request)
        await send_json(send, 200, answer, {"served-model-name": served})

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _served(self, name: str, traffic: Traffic, request: ScoringRequest, entity: str | None) -> str:
        if entity is None:
            return choose(traffic.routes, self._point(request) * traffic.share)
        if entity not in traffic.models:
            raise ApiError.unknown_served_entity(name, entity, list(traffic.models))
        return entity

    def _point(self, request: ScoringRequest) -> float:
        """A request that is sent again under its id meets the same version again."""
        if request.client_request_id is None:
            return self._draw()
        return zlib.crc32(request.client_request_id.encode()) / 2**32
