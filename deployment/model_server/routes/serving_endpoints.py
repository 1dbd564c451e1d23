"""The control plane: routes of the Databricks serving-endpoints REST API."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.endpoints.ai_gateway import ai_gateway_json
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
    ROOT + "/pt": "it has no provisioned throughput; create an endpoint for a registered model",
    ROOT + "/pt/{name}/config": "it has no provisioned throughput; update the config of the endpoint",
    ROOT + "/{name}/rate-limits": "a caller has its own limit: python -m deployment.run add-caller NAME --rate RATE",
    ROOT + "/{name}/notifications": "it sends no mail; scrape /metrics",
    "/api/2.0/external-function": "it calls no external services",
}
"""Routes of the Databricks client that this server does not support, with the reason."""

Handler = Callable[[Request], Awaitable[Response]]


def control_routes(endpoints: LiveEndpoints, settings: ServerSettings) -> list[Route]:
    """Routes that create, list, read, update and delete endpoints."""

    async def body(request: Request) -> Any:
        return await read_json(request.scope, request.receive, settings.max_body_bytes, settings.body_seconds)

    async def create_or_list(request: Request) -> Response:
        if request.method == "POST":
            created = await endpoints.create(parse(CreateInput, await body(request)))
            return JSONResponse(detailed(created, request.scope["permission_level"]))
        names = filter(request.scope["caller"].may_use, endpoints.names())
        return JSONResponse({"endpoints": [summary(endpoints.get(name)) for name in names]})

    async def get_or_delete(request: Request) -> Response:
        if request.method == "DELETE":
            await endpoints.delete(_name(request))
            return JSONResponse({})
        return JSONResponse(detailed(endpoints.get(_name(request)), request.scope["permission_level"]))

    async def update_config(request: Request) -> Response:
        endpoints.get(_name(request))
        updated = await endpoints.update(_name(request), parse(ConfigInput, await body(request)))
        return JSONResponse(detailed(updated, request.scope["permission_level"]))

    async def patch_tags(request: Request) -> Response:
        endpoints.get(_name(request))
        tagged = await endpoints.tag(_name(request), parse(TagsInput, await body(request)))
        return JSONResponse({"tags": [{"key": key, "value": value} for key, value in tagged.tags]})

    async def put_ai_gateway(request: Request) -> Response:
        endpoints.get(_name(request))
        table = parse(AiGatewayInput, await body(request)).inference_table(_name(request))
        endpoint = await endpoints.set_inference_table(_name(request), table)
        return JSONResponse(ai_gateway_json(endpoint.inference_table))

    return [
        *(
            Route(path, _not_implemented(reason), methods=["POST", "PUT", "PATCH"])
            for path, reason in NOT_IMPLEMENTED.items()
        ),
        Route(ROOT, create_or_list, methods=["GET", "POST"]),
        Route(ROOT + "/{name}", get_or_delete, methods=["GET", "DELETE"]),
        Route(ROOT + "/{name}/config", update_config, methods=["PUT"]),
        Route(ROOT + "/{name}/tags", patch_tags, methods=["PATCH"]),
        Route(ROOT + "/{name}/ai-gateway", put_ai_gateway, methods=["PUT"]),
    ]


def _not_implemented(reason: str) -> Handler:
    async def refuse(request: Request) -> Response:
        raise ApiError.not_implemented(request.url.path.rpartition("/")[2], reason)

    return refuse


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name
