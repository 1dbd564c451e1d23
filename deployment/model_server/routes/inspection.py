"""What the control plane shows of an endpoint: logs, metrics, its OpenAPI document, and who may do what."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.data_plane.fleet import Fleet
from deployment.model_server.data_plane.server_metrics import OPENMETRICS, AboutVersion, ServerMetrics
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.http.auth import Level
from deployment.model_server.http.errors import ApiError
from deployment.model_server.models.load_log import LoadLog
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.routes.openapi import document
from deployment.model_server.settings import ServerSettings

ROOT = "/api/2.0/serving-endpoints"
PERMISSIONS = "/api/2.0/permissions/serving-endpoints"
_LEVELS = {
    "CAN_VIEW": "Can look at the endpoint.",
    "CAN_QUERY": "Can look at the endpoint and query it: the data token.",
    "CAN_MANAGE": "Can look at, query, change and delete the endpoint: the control token.",
}


def inspection_routes(
    fleet: Fleet, journal: LoadLog, metrics: ServerMetrics, about: AboutVersion, settings: ServerSettings
) -> list[Route]:
    """The routes that change nothing."""

    async def logs(request: Request) -> Response:
        name, served = request.path_params["name"], request.path_params["entity"]
        return JSONResponse({"logs": "\n".join(_log(fleet.get(name), served, journal))})

    async def openapi(request: Request) -> Response:
        endpoint = fleet.get(request.path_params["name"])
        return JSONResponse(document(endpoint, _abouts(endpoint, about), settings))

    async def of_endpoint(request: Request) -> Response:
        endpoint = fleet.get(request.path_params["name"])
        return Response(metrics.exposition_of(endpoint), headers={"content-type": OPENMETRICS})

    async def of_server(_: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": OPENMETRICS})

    async def permissions(request: Request) -> Response:
        endpoint = _by_id(fleet, request.path_params["id"])
        if request.method != "GET":
            raise ApiError.not_implemented("permissions", "they are those of its two tokens, and cannot be changed")
        return JSONResponse(_permissions(endpoint))

    async def levels(request: Request) -> Response:
        _by_id(fleet, request.path_params["id"])
        known = [{"permission_level": level, "description": words} for level, words in _LEVELS.items()]
        return JSONResponse({"permission_levels": known})

    return [
        *(Route(ROOT + "/{name}/served-models/{entity}/" + kind, logs) for kind in ("logs", "build-logs")),
        *(Route(place + "/{name}/openapi", openapi, methods=["GET"]) for place in (ROOT, "/serving-endpoints")),
        Route(ROOT + "/{name}/metrics", of_endpoint, methods=["GET"]),
        Route("/metrics", of_server, methods=["GET"]),
        Route(PERMISSIONS + "/{id}", permissions, methods=["GET", "PUT", "PATCH"]),
        Route(PERMISSIONS + "/{id}/permissionLevels", levels, methods=["GET"]),
    ]


def _log(endpoint: Endpoint, served: str, journal: LoadLog) -> list[str]:
    """What happened to a served entity, and how it stands in each config."""
    configs = [config for config in (endpoint.active, endpoint.pending) if config]
    found = [(config, entity) for config in configs for entity in config.entities if entity.name == served]
    if not found:
        known = [entity.name for config in configs for entity in config.entities]
        raise ApiError.unknown_served_entity(endpoint.name, served, known)
    lines = [line for model in dict.fromkeys(entity.model for _, entity in found) for line in journal.lines(*model)]
    states = [
        f"config {config.version}: {entity.entity_name} version {entity.entity_version}: "
        f"{entity.deployment} {entity.message}".strip()
        for config, entity in found
    ]
    return lines + states


def _abouts(endpoint: Endpoint, about: AboutVersion) -> dict[str, VersionSchema]:
    entities = endpoint.active.entities if endpoint.active else ()
    return {entity.name: known for entity in entities if (known := about(*entity.model))}


def _by_id(fleet: Fleet, identifier: str) -> Endpoint:
    """Permissions name an endpoint by its id, as on Databricks."""
    for endpoint in map(fleet.get, fleet.names()):
        if endpoint.id == identifier:
            return endpoint
    raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"There is no endpoint with the id '{identifier[:100]}'.")


def _permissions(endpoint: Endpoint) -> dict[str, Any]:
    holders = {"control-token": Level.MANAGE, "data-token": Level.QUERY}
    return {
        "object_id": f"/serving-endpoints/{endpoint.id}",
        "object_type": "serving-endpoint",
        "access_control_list": [
            {
                "service_principal_name": holder,
                "all_permissions": [{"permission_level": level, "inherited": False}],
            }
            for holder, level in holders.items()
        ],
    }
