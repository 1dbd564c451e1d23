"""Routes without a token: liveness, readiness and the try page. They reveal nothing about the endpoints."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.http.try_page import try_page

_OPEN = re.compile(
    r"/(health|ping|version|live|ready|\.well-known/databricks-config|serving-endpoints/[^/]+/try"
    r"|v2(/health/(live|ready))?)"
)


def is_open(path: str) -> bool:
    """True if a path needs no token."""
    return _OPEN.fullmatch(path) is not None


def probe_routes(endpoints: LiveEndpoints) -> list[Route]:
    """Liveness, readiness, the try page, and the path that the SDK fetches before its first request."""

    async def ready(_: Request) -> Response:
        if endpoints.recovering:
            return JSONResponse({"status": "loading"}, 503, {"retry-after": "1"})
        if endpoints.failed:
            return JSONResponse({"status": "failed"}, 503, {"retry-after": "10"})
        return JSONResponse({"status": "ready"})

    return [
        Route("/live", _alive, methods=["GET"]),
        Route("/ready", ready, methods=["GET"]),
        Route("/.well-known/databricks-config", _empty, methods=["GET"]),
        Route("/serving-endpoints/{name}/try", try_page, methods=["GET"]),
    ]


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _empty(_: Request) -> Response:
    return JSONResponse({})
