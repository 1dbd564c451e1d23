"""Settings of one model server, and the paths of its state files."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from lakehouse.errors import LakehouseError
from lakehouse.settings import ServerAccess, Settings

MIB = 1024 * 1024
SECRET_VARIABLES = frozenset({"MODEL_SERVER_TOKEN", "MODEL_SERVER_DATA_TOKEN"})
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only compared with, never bound to
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def child_environment() -> dict[str, str]:
    """Environment for a child process: that of this process without the tokens."""
    return {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}


@dataclass(frozen=True)
class ServerSettings:
    """Address, registry, state folder and request limits of a model server.

    Attributes:
        max_body_bytes: largest request body (8 MiB), after decompression.
        max_rows: most rows of a request (10,000).
        body_seconds: time for the body to arrive (30 s).
        model_seconds: time for the model to predict (30 s).
        max_in_flight: most concurrent scoring requests (256); the server refuses more.
        workers: processes of each compiled model that predict requests of many rows.
    """

    project: Path
    state: Path
    tracking_uri: str
    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 8 * MIB
    max_rows: int = 10_000
    body_seconds: float = 30.0
    model_seconds: float = 30.0
    max_in_flight: int = 256
    workers: int = 0
    registry_uri: str | None = None
    warehouse: Path | None = None
    serving: ServerAccess = field(default_factory=ServerAccess)

    @classmethod
    def of(cls, settings: Settings, port: int | None = None, workers: int = 0) -> "ServerSettings":
        """The server of a checkout: it listens at `MODEL_SERVER` and keeps its state in `.serving`.

        Raises:
            LakehouseError: `MODEL_SERVER` is not a plain `http://host:port`, or lacks a certificate for `https`.
        """
        serving = settings.serving
        try:
            url = urlsplit(settings.server)
            host, url_port = url.hostname, url.port
        except ValueError:  # a port above 65535, or an incomplete IPv6 address
            host = url_port = None
        if host is None or url.scheme not in {"http", "https"} or url.path.strip("/"):
            raise LakehouseError(
                f"the model server cannot listen at {settings.server}",
                hint="Set MODEL_SERVER to http://host:port of this machine, or leave it unset for http://127.0.0.1:8080.",
            )
        secure = serving.certificate is not None and serving.key is not None
        if secure != (url.scheme == "https") or (serving.certificate is None) != (serving.key is None):
            raise LakehouseError(
                f"the model server cannot listen at {settings.server} with certificate {serving.certificate} and key "
                f"{serving.key}",
                hint="TLS needs MODEL_SERVER=https://host:port, MODEL_SERVER_CERTIFICATE and MODEL_SERVER_KEY.",
            )
        return cls(
            project=settings.project,
            state=settings.project / ".serving",
            tracking_uri=settings.tracking_uri,
            host=host,
            port=port if port is not None else url_port or (443 if secure else 80),
            registry_uri=settings.registry_uri,
            warehouse=settings.warehouse,
            serving=serving,
            workers=workers,
        )

    @property
    def secure(self) -> bool:
        """True if the server uses TLS."""
        return self.serving.certificate is not None

    @property
    def exposed(self) -> bool:
        """True if other machines can reach the server without TLS."""
        return self.host not in _LOOPBACK and not self.secure

    @property
    def url(self) -> str:
        """The URL of the server on this machine."""
        host = _EVERY_ADDRESS.get(self.host, self.host)
        return f"{'https' if self.secure else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def authority(self) -> Path | None:
        """The certificate that a client must trust to connect over TLS."""
        return self.serving.authority or self.serving.certificate

    @property
    def token_file(self) -> Path:
        return self.serving.token_file or self.state / "token"

    @property
    def data_token_file(self) -> Path:
        return self.serving.data_token_file or self.state / "data-token"

    @property
    def callers_file(self) -> Path:
        """Names, hashes of tokens and limits of the callers with a token of their own."""
        return self.serving.callers_file or self.state / "callers.json"

    @property
    def access_log(self) -> Path | None:
        """The file with one line for each request, if it is on."""
        return self.state / "access.log" if self.serving.access_log else None

    @property
    def log_file(self) -> Path:
        return self.state / "server.log"

    @property
    def process_file(self) -> Path:
        return self.state / "server.json"

    @property
    def tables(self) -> Path:
        """The warehouse for payload tables (written) and online tables (read)."""
        return self.warehouse or self.project / "warehouse"

    @property
    def versions(self) -> Path:
        """The cache of the files of served versions."""
        return self.state / "versions"

    @property
    def endpoints_file(self) -> Path:
        return self.state / "endpoints.json"

    def as_json(self) -> dict[str, Any]:
        """Settings for the pipe to the detached server. They contain tokens: never write them to a file."""
        values: dict[str, Any] = _SETTINGS.dump_python(self, mode="json")
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ServerSettings":
        return _SETTINGS.validate_python(values)


_SETTINGS = TypeAdapter(ServerSettings)
