"""What one model server needs to know, and the files it keeps."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from lakehouse.errors import LakehouseError
from lakehouse.settings import ServerAccess, Settings

MIB = 1024 * 1024
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound to, but told apart
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ServerSettings:
    """Where to listen, where the models come from, where the state lies, and what a request may cost.

    A body may have `max_body_bytes` (1 MiB) and `max_rows` (10,000), and must arrive within `body_seconds` (30 s).
    A model may take `answer_seconds` (30 s). Beyond `max_in_flight` requests under way (256), more are turned away.
    """

    project: Path
    state: Path
    tracking_uri: str
    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = MIB
    max_rows: int = 10_000
    body_seconds: float = 30.0
    answer_seconds: float = 30.0
    max_in_flight: int = 256
    registry_uri: str | None = None
    warehouse: Path | None = None
    serving: ServerAccess = field(default_factory=ServerAccess)

    @classmethod
    def of(cls, settings: Settings, port: int | None = None) -> "ServerSettings":
        """The server of a checkout: it listens where `MODEL_SERVER` points, its state is in `.serving`.

        Raises:
            LakehouseError: `MODEL_SERVER` is no plain `http://host:port`, or has no certificate for `https`.
        """
        serving = settings.serving
        try:
            url = urlsplit(settings.server)
            host, own_port = url.hostname, url.port
        except ValueError:  # a port beyond 65535, or half an IPv6 address
            host = own_port = None
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
            port=port if port is not None else own_port or (443 if secure else 80),
            registry_uri=settings.registry_uri,
            warehouse=settings.warehouse,
            serving=serving,
        )

    @property
    def secure(self) -> bool:
        """Whether the server speaks TLS."""
        return self.serving.certificate is not None

    @property
    def exposed(self) -> bool:
        """Whether other machines can reach it, and what they send can be read on the way."""
        return self.host not in _LOOPBACK and not self.secure

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = _EVERY_ADDRESS.get(self.host, self.host)
        return f"{'https' if self.secure else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def authority(self) -> Path | None:
        """Whom a client must trust to reach it over TLS."""
        return self.serving.authority or self.serving.certificate

    @property
    def token_file(self) -> Path:
        return self.serving.token_file or self.state / "token"

    @property
    def data_token_file(self) -> Path:
        return self.serving.data_token_file or self.state / "data-token"

    @property
    def log_file(self) -> Path:
        return self.state / "server.log"

    @property
    def process_file(self) -> Path:
        return self.state / "server.json"

    @property
    def tables(self) -> Path:
        """The warehouse that request logs are written to, and whose online tables are read."""
        return self.warehouse or self.project / "warehouse"

    @property
    def versions(self) -> Path:
        """Copies of the files of the versions that are served."""
        return self.state / "versions"

    @property
    def endpoints_file(self) -> Path:
        return self.state / "endpoints.json"

    def as_json(self) -> dict[str, Any]:
        """For a pipe, and for nothing that is kept: tokens are in it."""
        values: dict[str, Any] = _SETTINGS.dump_python(self, mode="json")
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ServerSettings":
        return _SETTINGS.validate_python(values)


_SETTINGS = TypeAdapter(ServerSettings)
