"""What one model server needs to know, and the files it keeps."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

MIB = 1024 * 1024


@dataclass(frozen=True)
class ServerSettings:
    """Where to listen, where the models come from, where the state lies, and what a request may cost.

    A body may have `max_body_bytes` (1 MiB) and `max_rows` (10,000), and must arrive within `body_seconds` (30 s).
    """

    project: Path
    state: Path
    tracking_uri: str
    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = MIB
    max_rows: int = 10_000
    body_seconds: float = 30.0

    @classmethod
    def of(cls, settings: Settings, port: int | None = None) -> "ServerSettings":
        """The server of a checkout: it listens where `MODEL_SERVER` points, its state is in `.serving`.

        Raises:
            LakehouseError: `MODEL_SERVER` is no plain `http://host:port`.
        """
        url = urlsplit(settings.server)
        if url.scheme != "http" or not url.hostname or url.path.strip("/"):
            raise LakehouseError(
                f"the model server cannot listen at {settings.server}",
                hint="Set MODEL_SERVER to http://host:port of this machine, or leave it unset for http://127.0.0.1:8080.",
            )
        return cls(
            project=settings.project,
            state=settings.project / ".serving",
            tracking_uri=settings.tracking_uri,
            host=url.hostname,
            port=port if port is not None else url.port or 80,
        )

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def token_file(self) -> Path:
        return self.state / "token"

    @property
    def log_file(self) -> Path:
        return self.state / "server.log"

    @property
    def process_file(self) -> Path:
        return self.state / "server.json"

    @property
    def versions(self) -> Path:
        """Copies of the files of the versions that are served."""
        return self.state / "versions"

    @property
    def endpoints_file(self) -> Path:
        return self.state / "endpoints.json"

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"project": str(self.project), "state": str(self.state)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ServerSettings":
        return cls(**values | {"project": Path(values["project"]), "state": Path(values["state"])})
