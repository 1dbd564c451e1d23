"""Read-only routes of the control plane: logs, metrics, OpenAPI documents and permissions."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.data_plane.server_metrics import OPENMETRICS, FindSchema, ServerMetrics
from deployment.model_server.endpoints.endpoint import Endpoint
from deployment.model_server.http.auth import PermissionLevel
from deployment.model_server.http.errors import ApiError
from deployment.model_server.models.load_log import LoadLog
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.routes.openapi import document
from deployment.model_server.settings import ServerSettings

ROOT = "/api/2.0/serving-endpoints"
PERMISSIONS = "/api/2.0/permissions/serving-endpoints"
_LEVELS = {
    "CAN_VIEW": "Can view the endpoint.",
    "CAN_QUERY": "Can view and query the endpoint: the data token.",
    "CAN_MANAGE": "Can view, query, change and delete the endpoint: the control token.",
}


def inspection_routes(
    endpoints: LiveEndpoints,
    load_log: LoadLog,
    metrics: ServerMetrics,
    find_schema: FindSchema,
    settings: ServerSettings,
) -> list[Route]:
    """Routes that change nothing."""

    async def logs(request: Request) -> Response:
        name, served = request.path_params["name"], request.path_params["entity"]
        return JSONResponse({"logs": "\n".join(_log_lines(endpoints.get(name), served, load_log))})

    async def openapi(request: Request) -> Response:
        endpoint = endpoints.get(request.path_params["name"])
        return JSONResponse(document(endpoint, _schemas(endpoint, find_schema), settings))

    async def endpoint_metrics(request: Request) -> Response:
        endpoint = endpoints.get(request.path_params["name"])
        return Response(metrics.exposition_of(endpoint), headers={"content-type": OPENMETRICS})

    async def server_metrics(_: Request) -> Response:
        return Response(metrics.exposition(), headers={"content-type": OPENMETRICS})

    async def permissions(request: Request) -> Response:
        endpoint = _by_id(endpoints, request.path_params["id"])
        if request.method != "GET":
            raise ApiError.not_implemented("permissions", "an endpoint has the fixed permissions of the two tokens")
        return JSONResponse(_permissions(endpoint))

    async def permission_levels(request: Request) -> Response:
        _by_id(endpoints, request.path_params["id"])
        levels = [{"permission_level": level, "description": text} for level, text in _LEVELS.items()]
        return JSONResponse({"permission_levels": levels})

    return [
        *(Route(ROOT + "/{name}/served-models/{entity}/" + kind, logs) for kind in ("logs", "build-logs")),
        *(Route(prefix + "/{name}/openapi", openapi, methods=["GET"]) for prefix in (ROOT, "/serving-endpoints")),
        Route(ROOT + "/{name}/metrics", endpoint_metrics, methods=["GET"]),
        Route("/metrics", server_metrics, methods=["GET"]),
        Route(PERMISSIONS + "/{id}", permissions, methods=["GET", "PUT", "PATCH"]),
        Route(PERMISSIONS + "/{id}/permissionLevels", permission_levels, methods=["GET"]),
    ]


def _log_lines(endpoint: Endpoint, served: str, load_log: LoadLog) -> list[str]:
    """Load log of a served entity, then its state in each config."""
    configs = [config for config in (endpoint.active, endpoint.pending) if config]
    matches = [(config, entity) for config in configs for entity in config.entities if entity.name == served]
    if not matches:
        known = [entity.name for config in configs for entity in config.entities]
        raise ApiError.unknown_served_entity(endpoint.name, served, known)
    models = dict.fromkeys(entity.model for _, entity in matches)
    states = [
        f"config {config.version}: {entity.entity_name} version {entity.entity_version}: "
        f"{entity.deployment} {entity.message}".strip()
        for config, entity in matches
    ]
    return [line for model in models for line in load_log.lines(*model)] + states


def _schemas(endpoint: Endpoint, find_schema: FindSchema) -> dict[str, VersionSchema]:
    entities = endpoint.active.entities if endpoint.active else ()
    return {entity.name: schema for entity in entities if (schema := find_schema(*entity.model))}


def _by_id(endpoints: LiveEndpoints, identifier: str) -> Endpoint:
    """Find an endpoint by its id, as the permissions API of Databricks does."""
    for endpoint in map(endpoints.get, endpoints.names()):
        if endpoint.id == identifier:
            return endpoint
    raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"There is no endpoint with the id '{identifier[:100]}'.")


def _permissions(endpoint: Endpoint) -> dict[str, Any]:
    holders = {"control-token": PermissionLevel.MANAGE, "data-token": PermissionLevel.QUERY}
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
