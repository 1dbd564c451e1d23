"""The control plane: the serving-endpoints REST API of Databricks, route by route."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.endpoints.ai_gateway import described
from deployment.model_server.endpoints.control_requests import (
    AiGatewayInput,
    ConfigInput,
    CreateInput,
    TagsInput,
    parse,
)
from deployment.model_server.endpoints.representation import detailed, summary
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import read_json
from deployment.model_server.settings import ServerSettings

ROOT = "/api/2.0/serving-endpoints"
NOT_IMPLEMENTED = {
    ROOT + "/pt": "there is no provisioned throughput here; create an endpoint of a registered model",
    ROOT + "/pt/{name}/config": "there is no provisioned throughput here; update the config of the endpoint",
    ROOT + "/{name}/rate-limits": "no caller is told from another; the server sheds what it cannot answer",
    ROOT + "/{name}/notifications": "it sends no mail; scrape /metrics",
    "/api/2.0/external-function": "it calls nobody else",
}
"""Routes of Databricks' client that this server has not, and why."""

Handler = Callable[[Request], Awaitable[Response]]


def control_routes(fleet: Fleet, settings: ServerSettings) -> list[Route]:
    """The routes that change endpoints, and those that list them."""

    async def body(request: Request) -> Any:
        return await read_json(request.scope, request.receive, settings.max_body_bytes, settings.body_seconds)

    async def endpoints(request: Request) -> Response:
        if request.method == "POST":
            created = await fleet.create(parse(CreateInput, await body(request)))
            return JSONResponse(detailed(created, request.scope["level"]))
        return JSONResponse({"endpoints": [summary(fleet.get(name)) for name in fleet.names()]})

    async def endpoint(request: Request) -> Response:
        if request.method == "DELETE":
            await fleet.delete(_name(request))
            return JSONResponse({})
        return JSONResponse(detailed(fleet.get(_name(request)), request.scope["level"]))

    async def config(request: Request) -> Response:
        fleet.get(_name(request))
        updated = await fleet.update(_name(request), parse(ConfigInput, await body(request)))
        return JSONResponse(detailed(updated, request.scope["level"]))

    async def tags(request: Request) -> Response:
        fleet.get(_name(request))
        tagged = await fleet.tag(_name(request), parse(TagsInput, await body(request)))
        return JSONResponse({"tags": [{"key": key, "value": value} for key, value in tagged.tags]})

    async def ai_gateway(request: Request) -> Response:
        fleet.get(_name(request))
        asked = parse(AiGatewayInput, await body(request))
        endpoint = await fleet.log_to(_name(request), asked.inference_table(_name(request)))
        return JSONResponse(described(endpoint.inference_table))

    missing = [Route(path, _missing(why), methods=["POST", "PUT", "PATCH"]) for path, why in NOT_IMPLEMENTED.items()]
    return [
        *missing,
        Route(ROOT, endpoints, methods=["GET", "POST"]),
        Route(ROOT + "/{name}", endpoint, methods=["GET", "DELETE"]),
        Route(ROOT + "/{name}/config", config, methods=["PUT"]),
        Route(ROOT + "/{name}/tags", tags, methods=["PATCH"]),
        Route(ROOT + "/{name}/ai-gateway", ai_gateway, methods=["PUT"]),
    ]


def _missing(why: str) -> Handler:
    async def refuse(request: Request) -> Response:
        raise ApiError.not_implemented(request.url.path.rpartition("/")[2], why)

    return refuse


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name
