"""The ASGI application: authentication, then routes; every failure becomes a JSON error."""

import asyncio
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
from deployment.model_server.http.auth import PermissionLevel, Tokens, check_allowed, credential_of
from deployment.model_server.http.callers import CONTROL, DATA, Caller, CallerLimits
from deployment.model_server.http.callers_file import CallersFile
from deployment.model_server.http.connections import UNKNOWN_CALLER_SECONDS
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import REQUEST_TIMEOUT, TrackedReceive
from deployment.model_server.http.request_facts import RequestFacts
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.models.load_log import LoadLog
from deployment.model_server.models.loader import LoadVersion, RegistryLoader
from deployment.model_server.routes.inspection import inspection_routes
from deployment.model_server.routes.mlflow_protocol import DefaultEndpoint, mlflow_routes
from deployment.model_server.routes.open_inference import open_inference_routes
from deployment.model_server.routes.probes import is_open, probe_routes
from deployment.model_server.routes.serving_endpoints import control_routes
from deployment.model_server.settings import ServerSettings
from deployment.model_server.telemetry.access_log import AccessLog, AccessLogMiddleware
from deployment.model_server.telemetry.tracing import TracingMiddleware, provider_of

CALLERS_SECONDS = 1.0  # until a change of the file of the callers is in force
SCORING = tuple(f"/serving-endpoints/{{name}}{entity}/invocations" for entity in ("", "/served-models/{entity}"))
_SCORING = re.compile(r"/serving-endpoints/(?P<name>[^/]+)(?:/served-models/(?P<entity>[^/]+))?/invocations")


def create_app(  # noqa: PLR0913  (parts that tests and the listener replace)
    settings: ServerSettings,
    *,
    load: LoadVersion | None = None,
    find_schema: FindSchema = lambda name, version: None,
    now: Callable[[], float] = SYSTEM.time,
    draw: Callable[[], float] = random.random,
    loaded: Callable[[], None] = lambda: None,
) -> ASGIApp:
    """Create the server of one state folder. Its lifespan restores the endpoints and cancels unfinished loads.

    Args:
        loaded: called after each load of a version, in its thread.

    Raises:
        LakehouseError: the token file or the stored endpoints are unusable.
    """
    tokens, callers = Tokens.of(settings), CallersFile(settings.callers_file)
    access_log = AccessLog(settings.access_log) if settings.access_log else None
    traces = provider_of(settings.serving.trace_exporter) if settings.serving.trace_exporter else None
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
        registry_loader.workers = settings.workers
        registry_loader.restore(entity.model for endpoint in stored.values() for entity in endpoint.entities)
        find_schema = registry_loader.schema_of
    load_log = LoadLog(load, now, loaded)
    endpoints = LiveEndpoints(store, load_log, now)
    in_flight = InFlight()
    invocations = Invocations(endpoints, settings, in_flight, draw)
    metrics = ServerMetrics(endpoints, invocations.log, invocations.metrics, find_schema, now)
    invocations.mirror.observe = metrics.observe
    admission = AdmissionControl(invocations, in_flight, settings.max_in_flight, settings.model_seconds)
    data_plane = metrics.middleware(CallerLimits(admission))

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        endpoints.restore(stored)
        if access_log:
            access_log.open()
        watching = asyncio.create_task(_watch(callers), name="callers")
        yield
        watching.cancel()
        await endpoints.close()
        invocations.close()
        if access_log:
            access_log.close()
        if traces:
            traces.shutdown()

    routes = [
        *(Route(path, data_plane, methods=["POST"]) for path in SCORING),
        *mlflow_routes(endpoints, DefaultEndpoint(endpoints, settings.serving.default_endpoint, data_plane)),
        *probe_routes(endpoints),
        *control_routes(endpoints, settings),
        *open_inference_routes(endpoints, find_schema, settings, data_plane),
        *inspection_routes(endpoints, load_log, metrics, find_schema, settings),
    ]
    router = Router(routes, redirect_slashes=False, lifespan=lifespan)
    app: ASGIApp = RequestGuard(ScoringFastPath(data_plane, router), tokens, callers, settings.body_seconds)
    app = TracingMiddleware(app, traces) if traces else app
    return AccessLogMiddleware(app, access_log) if access_log else app


async def _watch(callers: CallersFile) -> None:
    """Read the file of the callers again, soon after it has changed."""
    while True:
        await asyncio.sleep(CALLERS_SECONDS)
        callers.refresh_or_keep()


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

    def __init__(self, app: ASGIApp, tokens: Tokens, callers: CallersFile, body_seconds: float) -> None:
        self._app = app
        self._callers = callers
        self._tokens = tokens
        self._body_seconds = body_seconds
        self._unknown_caller_seconds = min(body_seconds, UNKNOWN_CALLER_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app({**scope, "app": self}, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        tracked_receive = TrackedReceive(receive)
        started, caller, facts = False, None, RequestFacts.of(scope)

        async def tracked_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if not is_open(path):
                caller = self._caller(scope)
                facts.caller = caller.name
                check_allowed(caller.level, scope["method"], path)
                caller.check_path(path)
            level = caller.level if caller else None
            scope = {**scope, "path": path, "app": self, "permission_level": level, "caller": caller}
            await self._app(scope, tracked_receive, tracked_send)
        except Exception as err:  # noqa: BLE001 - last resort: the caller gets an incident id, the log the cause
            error = to_api_error(err, scope["method"], path)
            if not started:
                if error.status != REQUEST_TIMEOUT:
                    await tracked_receive.discard(self._body_seconds if caller else self._unknown_caller_seconds)
                await send_json(send, error.status, serialise(error.body_for(path)), error.headers)
            # The traceback refers to this frame, and the frame to the error: the cycle keeps the connection open.
            del error

    def _caller(self, scope: Scope) -> Caller:
        """The caller of a request.

        Raises:
            ApiError: no token (401), or a wrong one (403).
        """
        credential = credential_of(scope["headers"])
        level = self._tokens.permission_level(credential)
        if level is not None:
            return CONTROL if level is PermissionLevel.MANAGE else DATA
        if caller := self._callers.find(credential):
            return caller
        raise ApiError(403, "PERMISSION_DENIED", "Invalid access token.")


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
