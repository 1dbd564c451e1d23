"""The routes of `mlflow models serve`, so that its clients work unchanged: for each endpoint and a default one."""

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.http.errors import ApiError


class DefaultEndpoint:
    """Handles `/invocations` with the endpoint of the settings, or with the only endpoint."""

    def __init__(self, endpoints: LiveEndpoints, name: str | None, invocations: ASGIApp) -> None:
        self._endpoints = endpoints
        self._name = name
        self._invocations = invocations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the default endpoint.

        Raises:
            ApiError: no default endpoint is set, and the server has none or several (400).
        """
        await self._invocations({**scope, "path_params": {"name": self._default()}}, receive, send)

    def _default(self) -> str:
        names = self._endpoints.names()
        if self._name is None and len(names) != 1:
            raise ApiError.bad_request(
                f"/invocations needs a default endpoint, because the server has {len(names)} endpoints. Set "
                "MODEL_SERVER_DEFAULT_ENDPOINT for the server, or use /serving-endpoints/NAME/invocations."
            )
        return self._name or names[0]


def mlflow_routes(endpoints: LiveEndpoints, default: DefaultEndpoint) -> list[Route]:
    """`/invocations`, `/ping`, `/health` and `/version`, at the root and below `/serving-endpoints/NAME`."""

    async def ping(request: Request) -> Response:
        """As in MLflow: an empty line with 200. For an endpoint, only if it has a loaded model."""
        if name := request.path_params.get("name"):
            endpoints.traffic(name)
        return PlainTextResponse("\n")

    async def mlflow_version(_: Request) -> Response:
        return PlainTextResponse(version("mlflow"))

    handlers = {"ping": ping, "health": ping, "version": mlflow_version}
    return [
        Route("/invocations", default, methods=["POST"]),
        *(
            Route(f"{prefix}/{path}", handler, methods=["GET"])
            for prefix in ("", "/serving-endpoints/{name}")
            for path, handler in handlers.items()
        ),
    ]
