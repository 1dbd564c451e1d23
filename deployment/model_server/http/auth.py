"""Two bearer tokens: one that may do everything, and one that asks endpoints and cannot change them.

Each is made at the first start and kept in a file that only its owner reads, unless it is given.
"""

import base64
import binascii
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deployment.model_server.http.errors import ApiError
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError

SHORTEST = 16


class TokenUnusable(LakehouseError):
    """A token is missing, too short, known to others, or cannot be told from the other one."""


class Level(StrEnum):
    """What a token may do, in Databricks' words."""

    QUERY = "CAN_QUERY"
    MANAGE = "CAN_MANAGE"


@dataclass(frozen=True)
class Tokens:
    """Both tokens of a server; they show in no text."""

    control: bytes = field(repr=False)
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, settings: ServerSettings) -> "Tokens":
        """The tokens that the settings give or point to; those that are missing are made.

        Raises:
            TokenUnusable: one cannot be used, or both are the same.
        """
        given = settings.serving
        control = _given("MODEL_SERVER_TOKEN", given.token) or ensure_token(settings.token_file, given.credentials)
        data = _given("MODEL_SERVER_DATA_TOKEN", given.data_token) or ensure_token(
            settings.data_token_file, given.credentials
        )
        if hmac.compare_digest(control.encode(), data.encode()):
            raise TokenUnusable(
                "the control token and the data token are the same", hint="Give callers a token of their own."
            )
        return cls(control.encode(), data.encode())

    def level(self, headers: Iterable[tuple[bytes, bytes]]) -> Level:
        """What the token of a request may do; both are always compared, each in constant time.

        Raises:
            ApiError: no credential (401), or a wrong one (403).
        """
        credential = _credential(next((value for name, value in headers if name == b"authorization"), b""))
        control = hmac.compare_digest(credential, self.control)
        data = hmac.compare_digest(credential, self.data)
        if not (control or data):
            raise ApiError(403, "PERMISSION_DENIED", "Invalid access token.")
        return Level.MANAGE if control else Level.QUERY


def token_places(settings: ServerSettings) -> tuple[str, str]:
    """Where the control token and the data token come from: a file, or a variable."""
    given = settings.serving
    control = str(settings.token_file) if given.token is None else "MODEL_SERVER_TOKEN"
    data = str(settings.data_token_file) if given.data_token is None else "MODEL_SERVER_DATA_TOKEN"
    return control, data


def check_allowed(level: Level, method: str, path: str) -> None:
    """Let a request pass that its token allows.

    Raises:
        ApiError: the data token asks for what it may not have (403).
    """
    if level is Level.QUERY and not any(method in methods and what.fullmatch(path) for methods, what in _DATA):
        message = (
            f"The data token may query endpoints and look at them; '{method} {path[:200]}' needs the control token."
        )
        raise ApiError(403, "PERMISSION_DENIED", message)


def ensure_token(path: Path, credentials: Path | None = None) -> str:
    """Read the token, or make one where there is none.

    Raises:
        TokenUnusable: the file is empty, or its mode lets others in.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path, credentials)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return read_token(path)


def read_token(path: Path, credentials: Path | None = None) -> str:
    """The token in the file.

    One below `credentials` may be read by its group: systemd lets its service in by a list whose mask shows as that.

    Raises:
        TokenUnusable: it is missing, empty, or its mode lets others in.
    """
    if not path.is_file():
        raise TokenUnusable(
            f"there is no token in {path}", hint="Start the server, which makes one: python -m deployment.run serve"
        )
    systemd = credentials is not None and path.resolve().is_relative_to(credentials.resolve())
    if path.stat().st_mode & (0o037 if systemd else 0o077):
        raise TokenUnusable(f"others can read the token in {path}", hint=f"Close it: chmod 600 {path}")
    token = path.read_text("ascii", errors="replace").strip()
    if len(token) < SHORTEST:
        raise TokenUnusable(
            f"the token in {path} is shorter than {SHORTEST} characters", hint=f"Delete {path} and serve again."
        )
    return token


_DATA = (
    (("GET", "POST"), re.compile(r"(/serving-endpoints/[^/]+(/served-models/[^/]+)?)?/invocations")),
    (("GET",), re.compile(r"/serving-endpoints/[^/]+/(ping|health|version|openapi)")),
    (("GET",), re.compile(r"/api/2\.0/serving-endpoints(/[^/]+(/(openapi|metrics))?)?")),
    (("GET",), re.compile(r"/metrics")),
)
"""What the data token may do; everything else is refused, what is added later too."""


def _credential(header: bytes) -> bytes:
    """The token in a header: a bearer, or as Databricks takes it from a .netrc, the password of the user `token`."""
    scheme, _, credential = header.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            user, _, password = base64.b64decode(credential.strip(), validate=True).partition(b":")
        except binascii.Error:
            user, password = b"", b""
        credential = password if user == b"token" else b""
    elif scheme.lower() != b"bearer":
        credential = b""
    if not credential.strip():
        message = (
            "Credential was not sent or was of an unsupported type for this API. Send 'Authorization: Bearer TOKEN'."
        )
        raise ApiError(401, "UNAUTHENTICATED", message, headers={"www-authenticate": "Bearer"})
    return credential.strip()


def _given(variable: str, token: str | None) -> str | None:
    if token is not None and (len(token) < SHORTEST or not token.isascii() or token != token.strip()):
        raise TokenUnusable(
            f"{variable} is no token of {SHORTEST} ASCII characters or more without blanks around it",
            hint=f"Make one: {variable}=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')",
        )
    return token
