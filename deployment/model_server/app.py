"""The ASGI application: routes, the token before them, and every failure as JSON."""

import logging
import random
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.clock import SYSTEM
from deployment.model_server.data_plane.admission import Admission, UnderWay
from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.data_plane.invocations import Invocations
from deployment.model_server.data_plane.server_metrics import AboutVersion, ServerMetrics
from deployment.model_server.endpoints.store import EndpointStore
from deployment.model_server.http.auth import Tokens, check_allowed
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import TOO_SLOW, Incoming
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.models.load_log import LoadLog
from deployment.model_server.models.loader import Load, Registry
from deployment.model_server.routes.inspection import inspection_routes
from deployment.model_server.routes.mlflow_protocol import DefaultEndpoint, mlflow_routes
from deployment.model_server.routes.probes import is_open, probe_routes
from deployment.model_server.routes.serving_endpoints import control_routes
from deployment.model_server.settings import ServerSettings

LOG = logging.getLogger(__name__)
SCORING = tuple(f"/serving-endpoints/{{name}}{entity}/invocations" for entity in ("", "/served-models/{entity}"))
_SCORING = re.compile(r"/serving-endpoints/(?P<name>[^/]+)(?:/served-models/(?P<entity>[^/]+))?/invocations")


def create_app(
    settings: ServerSettings,
    *,
    load: Load | None = None,
    about: AboutVersion = lambda name, version: None,
    now: Callable[[], float] = SYSTEM.time,
    draw: Callable[[], float] = random.random,
) -> ASGIApp:
    """The server of one state folder; its lifespan restores the endpoints and ends what still loads.

    Raises:
        LakehouseError: the token file or the stored endpoints are unusable.
    """
    tokens = Tokens.of(settings)
    store = EndpointStore(settings.endpoints_file)
    stored = store.read()
    if load is None:
        load = registry = Registry(
            settings.tracking_uri,
            settings.versions,
            settings.registry_uri,
            unvouched=settings.serving.unvouched,
            online=settings.tables / ".online",
        )
        registry.take_up(entity.model for endpoint in stored.values() for entity in endpoint.entities)
        about = registry.about
    journal = LoadLog(load, now)
    fleet = Fleet(store, journal, now)
    under_way = UnderWay()
    invocations = Invocations(fleet, settings, under_way, draw)
    metrics = ServerMetrics(fleet, invocations.log, invocations.batches, about, now)
    admission = Admission(invocations, under_way, settings.max_in_flight, settings.answer_seconds)
    data_plane = metrics.observed(admission)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        fleet.restore(stored)
        yield
        await fleet.close()
        invocations.close()

    routes = [
        *(Route(path, data_plane, methods=["POST"]) for path in SCORING),
        *mlflow_routes(fleet, DefaultEndpoint(fleet, settings.serving.default_endpoint, data_plane)),
        *probe_routes(fleet),
        *control_routes(fleet, settings),
        *inspection_routes(fleet, journal, metrics, about, settings),
    ]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    return RequestGuard(DataFirst(data_plane, router), tokens, settings.body_seconds)


class DataFirst:
    """Sends scoring requests straight to where they are answered, and everything else through the routes."""

    def __init__(self, data_plane: ASGIApp, router: ASGIApp) -> None:
        self._data_plane = data_plane
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _SCORING.fullmatch(scope["path"]) if scope.get("method") == "POST" else None
        if found is None:
            await self._router(scope, receive, send)
            return
        await self._data_plane({**scope, "path_params": found.groupdict()}, receive, send)


class RequestGuard:
    """Checks the token before a request is routed, and turns what is raised behind it into an answer."""

    def __init__(self, app: ASGIApp, tokens: Tokens, body_seconds: float) -> None:
        self._app = app
        self._tokens = tokens
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app({**scope, "app": self}, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        incoming = Incoming(receive)
        started = False

        async def tracked(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            level = None
            if not is_open(path):
                level = self._tokens.level(scope["headers"])
                check_allowed(level, scope["method"], path)
            await self._app({**scope, "path": path, "app": self, "level": level}, incoming, tracked)
        except Exception as err:  # noqa: BLE001 - the last line of defence; the caller gets an id, the log the cause
            refusal = refusal_of(err, scope["method"], path)
            if not started:
                if refusal.status != TOO_SLOW:
                    await incoming.discard(self._body_seconds)
                await send_json(send, refusal.status, serialise(refusal.body()), refusal.headers)
            # Its traceback holds this frame, which would hold it and the request: a connection to close stays open.
            del refusal


def refusal_of(err: Exception, method: str, path: str) -> ApiError:
    """The answer to a failure; what nobody foresaw is logged under an id that the answer names."""
    match err:
        case ApiError():
            return err
        case HTTPException(status_code=404):
            return ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path[:200]}'")
        case HTTPException(status_code=405):
            message = f"'{path[:200]}' does not take {method}"
            return ApiError(405, "METHOD_NOT_ALLOWED", message, headers=dict(err.headers or {}))
    incident = uuid.uuid4().hex[:12]
    LOG.error("incident %s: %s %s", incident, method, path, exc_info=err)
    return ApiError(
        500, "INTERNAL_ERROR", f"The server failed at this request; its log has the cause under {incident}."
    )
