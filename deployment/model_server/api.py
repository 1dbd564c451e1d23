"""The control plane: the serving-endpoints REST API of Databricks, route by route."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.answers import detailed, summary
from deployment.model_server.bodies import read_json
from deployment.model_server.control_requests import ConfigInput, CreateInput, TagsInput, parse
from deployment.model_server.errors import ApiError
from deployment.model_server.fleet import Fleet
from deployment.model_server.settings import ServerSettings

ROOT = "/api/2.0/serving-endpoints"
OPEN = frozenset({"/health", "/ping", "/version", "/.well-known/databricks-config"})
"""Paths that answer without a token; none of them says what is served."""

Handler = Callable[[Request], Awaitable[Response]]


def control_routes(fleet: Fleet, settings: ServerSettings) -> list[Route]:
    """The routes of the control plane over one fleet."""

    async def body(request: Request) -> Any:
        return await read_json(request.scope, request.receive, settings.max_body_bytes, settings.body_seconds)

    async def endpoints(request: Request) -> Response:
        if request.method == "POST":
            return JSONResponse(detailed(await fleet.create(parse(CreateInput, await body(request)))))
        return JSONResponse({"endpoints": [summary(fleet.get(name)) for name in fleet.names()]})

    async def endpoint(request: Request) -> Response:
        if request.method == "DELETE":
            await fleet.delete(_name(request))
            return JSONResponse({})
        return JSONResponse(detailed(fleet.get(_name(request))))

    async def config(request: Request) -> Response:
        fleet.get(_name(request))
        asked = parse(ConfigInput, await body(request))
        return JSONResponse(detailed(await fleet.update(_name(request), asked)))

    async def tags(request: Request) -> Response:
        fleet.get(_name(request))
        tagged = await fleet.tag(_name(request), parse(TagsInput, await body(request)))
        return JSONResponse({"tags": [{"key": key, "value": value} for key, value in tagged.tags]})

    async def logs(request: Request) -> Response:
        return JSONResponse({"logs": _log(fleet, _name(request), request.path_params["entity"])})

    return [
        Route(ROOT, endpoints, methods=["GET", "POST"]),
        Route(ROOT + "/{name}", endpoint, methods=["GET", "DELETE"]),
        Route(ROOT + "/{name}/config", config, methods=["PUT"]),
        Route(ROOT + "/{name}/tags", tags, methods=["PATCH"]),
        *(Route(ROOT + "/{name}/served-models/{entity}/" + kind, logs) for kind in ("logs", "build-logs")),
        *(Route(ROOT + "/{name}/" + path, _not_supported, methods=["GET", "PUT"]) for path in _NOT_SUPPORTED),
        *(Route(path, _alive, methods=["GET"]) for path in OPEN),
    ]


_NOT_SUPPORTED = ("ai-gateway", "rate-limits", "metrics", "openapi", "notifications")


async def _not_supported(request: Request) -> Response:
    what = request.url.path.rpartition("/")[2]
    raise ApiError(501, "NOT_IMPLEMENTED", f"'{what}' is not supported by this server.")


async def _alive(request: Request) -> Response:
    answers: dict[str, dict[str, str]] = {
        "/version": {"version": version("lakehouse-ml")},
        "/.well-known/databricks-config": {},  # the SDK asks for it before its first request
    }
    return JSONResponse(answers.get(request.url.path, {"status": "ok"}))


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _log(fleet: Fleet, name: str, served: str) -> str:
    endpoint = fleet.get(name)
    configs = [config for config in (endpoint.active, endpoint.pending) if config]
    lines = [
        f"config {config.version}: {entity.entity_name} version {entity.entity_version}: "
        f"{entity.deployment} {entity.message}".strip()
        for config in configs
        for entity in config.entities
        if entity.name == served
    ]
    if not lines:
        raise ApiError.unknown_served_entity(name, served, [e.name for config in configs for e in config.entities])
    return "\n".join(lines)
