"""The ASGI application: authentication, then routes; every failure becomes a JSON error."""

import random
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.clock import SYSTEM
from deployment.model_server.data_plane.admission import AdmissionControl, InFlight
from deployment.model_server.data_plane.invocations import Invocations
from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.data_plane.server_metrics import FindSchema, ServerMetrics
from deployment.model_server.endpoints.store import EndpointStore
from deployment.model_server.http.auth import Tokens, check_allowed
from deployment.model_server.http.connections import UNKNOWN_CALLER_SECONDS
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import REQUEST_TIMEOUT, TrackedReceive
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.models.load_log import LoadLog
from deployment.model_server.models.loader import LoadVersion, RegistryLoader
from deployment.model_server.routes.inspection import inspection_routes
from deployment.model_server.routes.mlflow_protocol import DefaultEndpoint, mlflow_routes
from deployment.model_server.routes.probes import is_open, probe_routes
from deployment.model_server.routes.serving_endpoints import control_routes
from deployment.model_server.settings import ServerSettings

SCORING = tuple(f"/serving-endpoints/{{name}}{entity}/invocations" for entity in ("", "/served-models/{entity}"))
_SCORING = re.compile(r"/serving-endpoints/(?P<name>[^/]+)(?:/served-models/(?P<entity>[^/]+))?/invocations")


def create_app(
    settings: ServerSettings,
    *,
    load: LoadVersion | None = None,
    find_schema: FindSchema = lambda name, version: None,
    now: Callable[[], float] = SYSTEM.time,
    draw: Callable[[], float] = random.random,
) -> ASGIApp:
    """Create the server of one state folder. Its lifespan restores the endpoints and cancels unfinished loads.

    Raises:
        LakehouseError: the token file or the stored endpoints are unusable.
    """
    tokens = Tokens.of(settings)
    store = EndpointStore(settings.endpoints_file)
    stored = store.read()
    if load is None:
        load = registry_loader = RegistryLoader(
            settings.tracking_uri,
            settings.versions,
            settings.registry_uri,
            allow_unverified=settings.serving.allow_unverified,
            online_tables=settings.tables / ".online",
        )
        registry_loader.restore(entity.model for endpoint in stored.values() for entity in endpoint.entities)
        find_schema = registry_loader.schema_of
    load_log = LoadLog(load, now)
    endpoints = LiveEndpoints(store, load_log, now)
    in_flight = InFlight()
    invocations = Invocations(endpoints, settings, in_flight, draw)
    metrics = ServerMetrics(endpoints, invocations.log, invocations.batch_sizes, find_schema, now)
    admission = AdmissionControl(invocations, in_flight, settings.max_in_flight, settings.model_seconds)
    data_plane = metrics.middleware(admission)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        endpoints.restore(stored)
        yield
        await endpoints.close()
        invocations.close()

    routes = [
        *(Route(path, data_plane, methods=["POST"]) for path in SCORING),
        *mlflow_routes(endpoints, DefaultEndpoint(endpoints, settings.serving.default_endpoint, data_plane)),
        *probe_routes(endpoints),
        *control_routes(endpoints, settings),
        *inspection_routes(endpoints, load_log, metrics, find_schema, settings),
    ]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    return RequestGuard(ScoringFastPath(data_plane, router), tokens, settings.body_seconds)


class ScoringFastPath:
    """Passes scoring requests straight to the data plane, and every other request to the router."""

    def __init__(self, data_plane: ASGIApp, router: ASGIApp) -> None:
        self._data_plane = data_plane
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _SCORING.fullmatch(scope["path"]) if scope.get("method") == "POST" else None
        if match is None:
            await self._router(scope, receive, send)
            return
        await self._data_plane({**scope, "path_params": match.groupdict()}, receive, send)


class RequestGuard:
    """Middleware that checks the token before routing and turns exceptions into JSON responses."""

    def __init__(self, app: ASGIApp, tokens: Tokens, body_seconds: float) -> None:
        self._app = app
        self._tokens = tokens
        self._body_seconds = body_seconds
        self._unknown_caller_seconds = min(body_seconds, UNKNOWN_CALLER_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app({**scope, "app": self}, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        tracked_receive = TrackedReceive(receive)
        started, level = False, None

        async def tracked_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if not is_open(path):
                level = self._tokens.permission_level(scope["headers"])
                check_allowed(level, scope["method"], path)
            scope = {**scope, "path": path, "app": self, "permission_level": level}
            await self._app(scope, tracked_receive, tracked_send)
        except Exception as err:  # noqa: BLE001 - last resort: the caller gets an incident id, the log the cause
            error = to_api_error(err, scope["method"], path)
            if not started:
                if error.status != REQUEST_TIMEOUT:
                    await tracked_receive.discard(self._body_seconds if level else self._unknown_caller_seconds)
                await send_json(send, error.status, serialise(error.body()), error.headers)
            # The traceback refers to this frame, and the frame to the error: the cycle keeps the connection open.
            del error


def to_api_error(err: Exception, method: str, path: str) -> ApiError:
    """Convert an exception to an API error. An unexpected one is logged under an id that the response names."""
    match err:
        case ApiError():
            return err
        case HTTPException(status_code=404):
            return ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{method} {path[:200]}'")
        case HTTPException(status_code=405):
            message = f"'{path[:200]}' does not allow {method}"
            return ApiError(405, "METHOD_NOT_ALLOWED", message, headers=dict(err.headers or {}))
    return ApiError.internal(err, f"{method} {path}")
