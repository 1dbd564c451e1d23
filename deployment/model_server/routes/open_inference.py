"""The Open Inference Protocol, version 2, over HTTP: health, metadata, and inference with tensors.

A model of the protocol is an endpoint; its versions are the versions that the endpoint serves. A request becomes a
scoring request, so that limits, metrics, log and predictions are those of `/serving-endpoints/NAME/invocations`.
"""

import json
from importlib.metadata import version as installed
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.data_plane.server_metrics import FindSchema
from deployment.model_server.endpoints.endpoint import DeploymentState, Endpoint, ServedEntity
from deployment.model_server.http.content_encoding import LARGE_RESPONSE, compressed
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import decode, read
from deployment.model_server.http.request_facts import RequestFacts
from deployment.model_server.http.responses import send_json, serialise
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.routes.open_inference_tensors import (
    InferRequest,
    infer_request,
    metadata_tensors,
    outputs_of,
)
from deployment.model_server.settings import ServerSettings

ROOT = "/v2"
MODEL = ROOT + "/models/{name}"
VERSION = MODEL + "/versions/{version}"
_OWN_HEADERS = frozenset({b"content-encoding", b"content-length", b"accept-encoding"})
_STANDARD = frozenset({"content-type", "content-length"})


def open_inference_routes(
    endpoints: LiveEndpoints, find_schema: FindSchema, settings: ServerSettings, data_plane: ASGIApp
) -> list[Route]:
    """Routes of the protocol. Health and the metadata of the server need no token."""

    async def server_metadata(_: Request) -> Response:
        return JSONResponse({"name": "lakehouse-ml", "version": installed("lakehouse-ml"), "extensions": []})

    async def server_live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def server_ready(_: Request) -> Response:
        ready = not (endpoints.recovering or endpoints.failed)
        return JSONResponse({"ready": ready}, 200 if ready else 400)  # the protocol: a false is a 4xx

    async def model_metadata(request: Request) -> Response:
        endpoint = endpoints.get(request.path_params["name"])
        served = _served(endpoint, request.path_params.get("version"))
        schema = find_schema(*served[0].model) or VersionSchema()
        versions = [entity.entity_version for entity in (endpoint.active.entities if endpoint.active else ())]
        return JSONResponse(
            {
                "name": endpoint.name,
                "versions": versions,
                "platform": "mlflow",
                "inputs": metadata_tensors(schema.row),
                "outputs": metadata_tensors(schema.prediction),
            }
        )

    async def model_ready(request: Request) -> Response:
        endpoint = endpoints.get(request.path_params["name"])
        served = _served(endpoint, request.path_params.get("version"))
        ready = all(entity.deployment is DeploymentState.READY for entity in served)
        return JSONResponse({"name": endpoint.name, "ready": ready}, 200 if ready else 400)

    infer = Inference(endpoints, settings, data_plane)
    return [
        Route(ROOT, server_metadata, methods=["GET"]),
        Route(ROOT + "/health/live", server_live, methods=["GET"]),
        Route(ROOT + "/health/ready", server_ready, methods=["GET"]),
        *(Route(path, model_metadata, methods=["GET"]) for path in (MODEL, VERSION)),
        *(Route(path + "/ready", model_ready, methods=["GET"]) for path in (MODEL, VERSION)),
        *(Route(path + "/infer", infer, methods=["POST"]) for path in (MODEL, VERSION)),
    ]


class Inference:
    """Handles `POST /v2/models/NAME[/versions/VERSION]/infer`."""

    def __init__(self, endpoints: LiveEndpoints, settings: ServerSettings, data_plane: ASGIApp) -> None:
        self._endpoints = endpoints
        self._settings = settings
        self._data_plane = data_plane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Score the tensors of a request.

        Raises:
            ApiError: as the scoring route does, or the tensors are wrong (400).
        """
        name, version = scope["path_params"]["name"], scope["path_params"].get("version")
        params = {"name": name}
        if version is not None:
            params["entity"] = _served(self._endpoints.get(name), version)[0].name
        headers = [(header, value) for header, value in scope["headers"] if header not in _OWN_HEADERS]
        conversion = _Conversion(scope, receive, send, self._settings)
        inner = {**scope, "path_params": params, "headers": headers}
        await self._data_plane(inner, conversion.receive, conversion.send)


class _Conversion:
    """The `receive` and `send` of one scoring request, which read and answer a request of the protocol."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, settings: ServerSettings) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._settings = settings
        self._request = InferRequest({}, None, ())
        self._status = 0
        self._headers: dict[str, str] = {}

    async def receive(self) -> Message:
        """The scoring request. The body is read only after the request was admitted."""
        settings = self._settings
        body = await read(self._scope, self._receive, settings.max_body_bytes, settings.body_seconds)
        self._request = infer_request(decode(body))
        return {"type": "http.request", "body": serialise(self._request.body), "more_body": False}

    async def send(self, message: Message) -> None:
        """Answer as soon as the body of the scoring response is there."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            named = ((name.decode(), value.decode()) for name, value in message["headers"])
            self._headers = {name: value for name, value in named if name not in _STANDARD}
            return
        content: Any = json.loads(message["body"])
        if self._status == 200:
            content = self._response(content["predictions"])
        else:
            content = {"error": content.get("message", "")}
        answer = serialise(content)
        if len(answer) >= LARGE_RESPONSE:
            answer = await compressed(self._scope, answer, self._headers)
        await send_json(self._send, self._status, answer, self._headers)

    def _response(self, predictions: list[Any]) -> dict[str, Any]:
        request, facts = self._request, RequestFacts.of(self._scope)
        response = {"model_name": self._scope["path_params"]["name"], "model_version": facts.version}
        identified = {} if request.id is None else {"id": request.id}
        return response | identified | {"outputs": outputs_of(predictions, request.outputs)}


def _served(endpoint: Endpoint, version: str | None) -> tuple[ServedEntity, ...]:
    """The active entities of an endpoint, or the one with a version; two with the same number have names.

    Raises:
        ApiError: nothing is active, or no or several entities have the version (404).
    """
    entities = endpoint.active.entities if endpoint.active else ()
    if version is not None:
        named = [entity for entity in entities if entity.name == version]
        entities = tuple(named or (entity for entity in entities if entity.entity_version == version))
        if len(entities) > 1:
            names = ", ".join(entity.name for entity in entities)
            message = f"'{endpoint.name}' serves several models with version {version}; name one of {names}."
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)
    if not entities:
        known = endpoint.active.entities if endpoint.active else ()
        versions = ", ".join(entity.entity_version for entity in known) or "none"
        message = f"'{endpoint.name}' serves no version '{(version or '')[:100]}'; versions: {versions}."
        raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", message)
    return entities
