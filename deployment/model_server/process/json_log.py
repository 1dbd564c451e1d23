"""The log: one JSON object per line, without secrets."""

import json
import logging
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from deployment.model_server.http.auth import Tokens
from deployment.model_server.settings import ServerSettings


class JsonLines(logging.Formatter):
    """Formats a record as `time`, `level`, `logger`, `message`, and `exception` if it has one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are replaced in every line, tracebacks included."""
        super().__init__()
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False)
        for secret in self._secrets:
            text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], "***")
        return text


def log_as_json(settings: ServerSettings, file: Path | None = None) -> None:
    """Send all logging of this process to a file or to standard error."""
    handler = _private_file(file) if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(secrets_of(settings)))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("_granian").setLevel(logging.ERROR)


def _private_file(file: Path) -> logging.Handler:
    handler = logging.FileHandler(file, encoding="utf-8")
    file.chmod(0o600)
    return handler


def secrets_of(settings: ServerSettings) -> list[str]:
    """Both tokens, and the passwords in the MLflow URIs."""
    tokens = Tokens.of(settings)
    uris = (settings.tracking_uri, settings.registry_uri or "")
    return [tokens.control.decode(), tokens.data.decode(), *(urlsplit(uri).password or "" for uri in uris)]


def format_for_console(line: str) -> str:
    """A log line as plain text; a line that is not JSON stays unchanged.

    >>> format_for_console('{"time": "t", "level": "info", "logger": "x", "message": "ended"}')
    'info: ended'
    >>> format_for_console("Segmentation fault")
    'Segmentation fault'
    """
    try:
        values = json.loads(line)
        text = f"{values['level']}: {values['message']}"
    except (ValueError, KeyError, TypeError):
        return line
    return "\n".join([text, *values["exception"].splitlines()[-1:]]) if "exception" in values else text
