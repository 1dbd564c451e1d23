"""What `mlflow models serve` answers, so that its clients work unchanged: for one endpoint, and for a default one."""

from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.http.errors import ApiError


class DefaultEndpoint:
    """Answers `/invocations` with the endpoint that the settings name, or with the only one there is."""

    def __init__(self, fleet: Fleet, name: str | None, invocations: ASGIApp) -> None:
        self._fleet = fleet
        self._name = name
        self._invocations = invocations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            ApiError: nothing says which of the endpoints is meant (400).
        """
        await self._invocations({**scope, "path_params": {"name": self._chosen()}}, receive, send)

    def _chosen(self) -> str:
        names = self._fleet.names()
        if self._name is None and len(names) != 1:
            raise ApiError.bad_request(
                f"/invocations cannot tell which endpoint is meant; there are {len(names)}. Set "
                "MODEL_SERVER_DEFAULT_ENDPOINT for the server, or ask /serving-endpoints/NAME/invocations."
            )
        return self._name or names[0]


def mlflow_routes(fleet: Fleet, default: DefaultEndpoint) -> list[Route]:
    """`/invocations`, `/ping`, `/health` and `/version`, at the root and below `/serving-endpoints/NAME`."""

    async def ping(request: Request) -> Response:
        """As MLflow: an empty line, and 200 only if there is a model that answers."""
        if name := request.path_params.get("name"):
            fleet.traffic(name)
        return PlainTextResponse("\n")

    async def mlflow_version(_: Request) -> Response:
        return PlainTextResponse(version("mlflow"))

    answers = {"ping": ping, "health": ping, "version": mlflow_version}
    return [
        Route("/invocations", default, methods=["POST"]),
        *(
            Route(f"{place}/{what}", answer, methods=["GET"])
            for place in ("", "/serving-endpoints/{name}")
            for what, answer in answers.items()
        ),
    ]
