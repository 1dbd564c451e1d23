"""The model registry of Unity Catalog over HTTP, for MLflow's own client (registry URI `databricks-uc`).

Paths and messages are those of the protocol that MLflow ships. Rules are those that Databricks documents: names of
three levels, the characters, lengths and number of tags, no search by anything but a full name or a run, and search
results without tags and aliases. Files of versions go through presigned URLs.
"""

import json
import posixpath
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from google.protobuf import json_format
from mlflow.protos import databricks_filesystem_service_pb2 as files
from mlflow.protos import databricks_pb2
from mlflow.protos import databricks_uc_registry_messages_pb2 as uc
from mlflow.protos import databricks_uc_registry_service_pb2 as service

API = "/api/2.0"
STORAGE = "/storage"
MAX_TAGS, MAX_KEY, MAX_VALUE, MAX_NAME = 50, 255, 1000, 255
_BAD_IN_KEYS = re.compile(r"[.,\-=/:]|^\s|\s$")
_BAD_IN_NAMES = re.compile(r"[. /\x00-\x1f\x7f]")
_FILTER = re.compile(r"(name|run_id)\s*=\s*'([^']*)'")


class Refused(Exception):
    """An error of the service, with its HTTP status and code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def invalid(message: str) -> Refused:
    return Refused(400, "INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> Refused:
    return Refused(404, "RESOURCE_DOES_NOT_EXIST", message)


@dataclass
class Version:
    proto: Any
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    name: str
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    description: str = ""
    created: int = 0


class UnityCatalogRegistry:
    """The models of the existing schemas, and the files of their versions."""

    def __init__(self, schemas: tuple[str, ...]) -> None:
        self.schemas = schemas
        self.models: dict[str, Model] = {}
        self.files: dict[str, bytes] = {}
        self.url = ""

    # Models.

    def create_registered_model(self, request: Any) -> Any:
        name = self._require_name(request.name)
        if name in self.models:
            raise Refused(400, "RESOURCE_ALREADY_EXISTS", f"the model {name} exists")
        model = Model(name, description=request.description, created=_now())
        for tag in request.tags:
            _set_tag(model.tags, tag.key, tag.value)
        self.models[name] = model
        return uc.CreateRegisteredModelResponse(registered_model=self._model(model))

    def get_registered_model(self, request: Any) -> Any:
        return uc.GetRegisteredModelResponse(registered_model=self._model(self._find(request.name)))

    def delete_registered_model(self, request: Any) -> Any:
        del self.models[self._find(request.name).name]
        return uc.DeleteRegisteredModelResponse()

    def search_registered_models(self, request: Any) -> Any:
        return uc.SearchRegisteredModelsResponse(
            registered_models=[uc.RegisteredModel(name=each.name) for each in self.models.values()]
        )

    def set_registered_model_tag(self, request: Any) -> Any:
        _set_tag(self._find(request.name).tags, request.key, request.value)
        return uc.SetRegisteredModelTagResponse()

    def delete_registered_model_tag(self, request: Any) -> Any:
        _delete_tag(self._find(request.name).tags, request.key)
        return uc.DeleteRegisteredModelTagResponse()

    # Aliases.

    def set_registered_model_alias(self, request: Any) -> Any:
        model = self._find(request.name)
        self._version(model, request.version)
        if re.fullmatch(r"(?i)latest|v?\d+", request.alias):
            raise invalid(f"'{request.alias}' is reserved and cannot be an alias")
        model.aliases[request.alias.lower()] = request.version
        return uc.SetRegisteredModelAliasResponse()

    def delete_registered_model_alias(self, request: Any) -> Any:
        self._find(request.name).aliases.pop(request.alias.lower(), None)
        return uc.DeleteRegisteredModelAliasResponse()

    def get_model_version_by_alias(self, request: Any) -> Any:
        model = self._find(request.name)
        number = model.aliases.get(request.alias.lower())
        if number is None:
            raise missing(f"the model {model.name} has no alias {request.alias}")
        return uc.GetModelVersionByAliasResponse(model_version=self._full(model, number))

    # Versions.

    def create_model_version(self, request: Any) -> Any:
        model = self._find(request.name)
        number = str(max(map(int, model.versions), default=0) + 1)
        proto = uc.ModelVersion(
            name=model.name,
            version=number,
            creation_timestamp=_now(),
            last_updated_timestamp=_now(),
            description=request.description,
            source=request.source,
            run_id=request.run_id,
            model_id=request.model_id,
            status=uc.PENDING_REGISTRATION,
            storage_location=f"{self.url}{STORAGE}/Models/{model.name.replace('.', '/')}/{number}",
        )
        version = Version(proto)
        for tag in request.tags:
            _set_tag(version.tags, tag.key, tag.value)
        model.versions[number] = version
        return uc.CreateModelVersionResponse(model_version=self._full(model, number))

    def finalize_model_version(self, request: Any) -> Any:
        model = self._find(request.name)
        self._version(model, request.version).proto.status = uc.READY
        return uc.FinalizeModelVersionResponse(model_version=self._full(model, request.version))

    def update_model_version(self, request: Any) -> Any:
        model = self._find(request.name)
        self._version(model, request.version).proto.description = request.description
        return uc.UpdateModelVersionResponse(model_version=self._full(model, request.version))

    def get_model_version(self, request: Any) -> Any:
        model = self._find(request.name)
        return uc.GetModelVersionResponse(model_version=self._full(model, request.version))

    def delete_model_version(self, request: Any) -> Any:
        model = self._find(request.name)
        self._version(model, request.version)
        del model.versions[request.version]
        model.aliases = {alias: number for alias, number in model.aliases.items() if number != request.version}
        return uc.DeleteModelVersionResponse()

    def search_model_versions(self, request: Any) -> Any:
        """Versions of one model or one run, without tags and aliases, newest first."""
        condition = _FILTER.fullmatch(request.filter.strip())
        if condition is None:
            raise invalid(f"unsupported filter: {request.filter}")
        column, value = condition.groups()
        if column == "name":
            self._require_name(value)
        found = [
            version.proto
            for model in self.models.values()
            for version in model.versions.values()
            if getattr(version.proto, column) == value
        ]
        return uc.SearchModelVersionsResponse(
            model_versions=sorted(found, key=lambda proto: int(proto.version), reverse=True)
        )

    def set_model_version_tag(self, request: Any) -> Any:
        version = self._version(self._find(request.name), request.version)
        _set_tag(version.tags, request.key, request.value)
        return uc.SetModelVersionTagResponse()

    def delete_model_version_tag(self, request: Any) -> Any:
        _delete_tag(self._version(self._find(request.name), request.version).tags, request.key)
        return uc.DeleteModelVersionTagResponse()

    def get_model_version_download_uri(self, request: Any) -> Any:
        version = self._version(self._find(request.name), request.version)
        return uc.GetModelVersionDownloadUriResponse(artifact_uri=version.proto.storage_location)

    def generate_temporary_model_version_credentials(self, request: Any) -> Any:
        self._version(self._find(request.name), request.version)
        credentials = uc.TemporaryCredentials(storage_mode=uc.DEFAULT_STORAGE, expiration_time=_now() + 3_600_000)
        return uc.GenerateTemporaryModelVersionCredentialsResponse(credentials=credentials)

    def is_databricks_sdk_models_artifact_repository_enabled(self, request: Any) -> Any:
        return uc.IsDatabricksSdkModelsArtifactRepositoryEnabledResponse(
            is_databricks_sdk_models_artifact_repository_enabled=False
        )

    # Files.

    def create_upload_url(self, request: Any) -> Any:
        return files.CreateUploadUrlResponse(url=self.url + STORAGE + request.path)

    def create_download_url(self, request: Any) -> Any:
        return files.CreateDownloadUrlResponse(url=self.url + STORAGE + request.path)

    def list_directory(self, path: str) -> Any:
        inside = [name[len(path) :].lstrip("/") for name in self.files if name.startswith(path.rstrip("/") + "/")]
        if not inside:
            raise Refused(404, "NOT_FOUND", f"{path} is not a directory")
        entries: dict[str, Any] = {}
        for name in inside:
            first, _, rest = name.partition("/")
            full = posixpath.join(path, first)
            size = 0 if rest else len(self.files[full])
            entries[first] = files.DirectoryEntry(path=full, name=first, is_directory=bool(rest), file_size=size)
        return files.ListDirectoryResponse(contents=entries.values())

    # Rules.

    def _require_name(self, name: str) -> str:
        levels = name.split(".")
        if len(levels) != 3:
            raise invalid(f"'{name}' is not a name of three levels: catalog.schema.model")
        for level in levels:
            if not level or len(level) > MAX_NAME or _BAD_IN_NAMES.search(level):
                raise invalid(f"'{level}' is not a valid name of a securable object")
        if ".".join(levels[:2]) not in self.schemas:
            raise missing(f"the schema {'.'.join(levels[:2])} does not exist")
        return name.lower()

    def _find(self, name: str) -> Model:
        model = self.models.get(self._require_name(name))
        if model is None:
            raise missing(f"the model {name} does not exist")
        return model

    @staticmethod
    def _version(model: Model, number: str) -> Version:
        version = model.versions.get(number)
        if version is None:
            raise missing(f"version {number} of {model.name} does not exist")
        return version

    def _full(self, model: Model, number: str) -> Any:
        version, proto = self._version(model, number), uc.ModelVersion()
        proto.CopyFrom(version.proto)
        proto.tags.extend(uc.ModelVersionTag(key=key, value=value) for key, value in version.tags.items())
        proto.aliases.extend(
            uc.RegisteredModelAlias(alias=alias, version=number)
            for alias, pointed in model.aliases.items()
            if pointed == number
        )
        return proto

    @staticmethod
    def _model(model: Model) -> Any:
        return uc.RegisteredModel(
            name=model.name,
            description=model.description,
            creation_timestamp=model.created,
            tags=[uc.RegisteredModelTag(key=key, value=value) for key, value in model.tags.items()],
            aliases=[uc.RegisteredModelAlias(alias=alias, version=number) for alias, number in model.aliases.items()],
        )


def _set_tag(tags: dict[str, str], key: str, value: str) -> None:
    if not key or len(key) > MAX_KEY or _BAD_IN_KEYS.search(key):
        raise invalid(f"'{key}' is not a valid tag key: . , - = / : are not allowed")
    if len(value) > MAX_VALUE:
        raise invalid(
            f"the value of the tag '{key}' has {len(value)} characters, and at most {MAX_VALUE} are allowed"
        )
    if key not in tags and len(tags) == MAX_TAGS:
        raise invalid(f"a securable object has at most {MAX_TAGS} tags")
    tags[key] = value


def _delete_tag(tags: dict[str, str], key: str) -> None:
    if key not in tags:
        raise missing(f"there is no tag '{key}'")
    del tags[key]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _routes(registry: UnityCatalogRegistry) -> dict[tuple[str, str], tuple[Any, Callable[[Any], Any]]]:
    """The handler of each method and path of the protocol, with the type of its request."""
    found: dict[tuple[str, str], tuple[Any, Callable[[Any], Any]]] = {}
    for module, classes in ((service, uc), (files, files)):
        for each in module.DESCRIPTOR.services_by_name.values():
            for method in each.methods:
                name = re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()
                if (handler := getattr(registry, name, None)) is not None:
                    (endpoint,) = method.GetOptions().Extensions[databricks_pb2.rpc].endpoints
                    request = getattr(classes, method.input_type.name)
                    found[endpoint.method, API + endpoint.path] = (request, handler)
    return found


class _Handler(BaseHTTPRequestHandler):
    registry: UnityCatalogRegistry
    routes: Mapping[tuple[str, str], tuple[Any, Callable[[Any], Any]]]
    token: str

    def _respond(self) -> None:
        path = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if path.path.startswith(STORAGE):
                self._send(200, self._file(path.path.removeprefix(STORAGE), body))
                return
            if path.path == "/.well-known/databricks-config":  # how the host signs users in
                self._send(200, b"{}")
                return
            self._require_token()
            self._send(200, json_format.MessageToJson(self._call(path, body)).encode())
        except Refused as err:
            self._send(err.status, json.dumps({"error_code": err.code, "message": str(err)}).encode())

    def _require_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            raise Refused(401, "UNAUTHENTICATED", "the token is missing or wrong")

    def _file(self, path: str, body: bytes) -> bytes:
        if self.command == "PUT":
            self.registry.files[path] = body
            return b""
        if path not in self.registry.files:
            raise Refused(404, "NOT_FOUND", f"no file {path}")
        return self.registry.files[path]

    def _call(self, path: Any, body: bytes) -> Any:
        if path.path.startswith(f"{API}/fs/directories/"):
            return self.registry.list_directory(path.path.removeprefix(f"{API}/fs/directories"))
        if (self.command, path.path) not in self.routes:
            raise Refused(404, "ENDPOINT_NOT_FOUND", f"no {self.command} {path.path}")
        request, handler = self.routes[self.command, path.path]
        fields = dict(parse_qsl(path.query)) if self.command == "GET" else json.loads(body or b"{}")
        try:
            parsed = json_format.ParseDict(fields, request())
        except json_format.ParseError as err:
            raise invalid(str(err)) from err
        return handler(parsed)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_PATCH(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def do_PUT(self) -> None:
        self._respond()


@contextmanager
def serving(*schemas: str, token: str = "a-token") -> Iterator[UnityCatalogRegistry]:  # noqa: S107
    """Serve a registry with these schemas, as `catalog.schema`, at its `url`."""
    registry = UnityCatalogRegistry(schemas)
    handler = type("Handler", (_Handler,), {"registry": registry, "routes": _routes(registry), "token": token})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
