"""What answers without a token: whether the server lives and is ready, and never what it serves."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.http.try_page import try_page

_OPEN = re.compile(r"/(health|ping|version|live|ready|\.well-known/databricks-config|serving-endpoints/[^/]+/try)")


def is_open(path: str) -> bool:
    """Whether a path answers without a token."""
    return _OPEN.fullmatch(path) is not None


def probe_routes(fleet: Fleet) -> list[Route]:
    """Liveness, readiness, and what the SDK asks for before its first request."""

    async def ready(_: Request) -> Response:
        if fleet.recovering:
            return JSONResponse({"status": "loading"}, 503, {"retry-after": "1"})
        if fleet.failed:
            return JSONResponse({"status": "failed"}, 503, {"retry-after": "10"})
        return JSONResponse({"status": "ready"})

    return [
        Route("/live", _alive, methods=["GET"]),
        Route("/ready", ready, methods=["GET"]),
        Route("/.well-known/databricks-config", _nothing, methods=["GET"]),
        Route("/serving-endpoints/{name}/try", try_page, methods=["GET"]),
    ]


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _nothing(_: Request) -> Response:
    return JSONResponse({})
