"""Authentication with two bearer tokens: the control token may do everything, the data token may only query.

The first start creates both, each in a file that only its owner can read, unless the settings provide them.
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

MIN_TOKEN_LENGTH = 16


class TokenUnusable(LakehouseError):
    """A token is missing, too short, readable by other users, or the same as the other token."""


class PermissionLevel(StrEnum):
    """Permission level of a token, named as on Databricks."""

    QUERY = "CAN_QUERY"
    MANAGE = "CAN_MANAGE"


@dataclass(frozen=True)
class Tokens:
    """Both tokens of a server; their `repr` hides them."""

    control: bytes = field(repr=False)
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, settings: ServerSettings) -> "Tokens":
        """Read both tokens from the settings or their files; create missing files.

        Raises:
            TokenUnusable: a token is unusable, or both are the same.
        """
        access = settings.serving
        control = _checked("MODEL_SERVER_TOKEN", access.token) or ensure_token(
            settings.token_file, access.credentials
        )
        data = _checked("MODEL_SERVER_DATA_TOKEN", access.data_token) or ensure_token(
            settings.data_token_file, access.credentials
        )
        if hmac.compare_digest(control.encode(), data.encode()):
            raise TokenUnusable(
                "the control token and the data token are the same",
                hint="Set another MODEL_SERVER_DATA_TOKEN, or delete its file.",
            )
        return cls(control.encode(), data.encode())

    def permission_level(self, credential: bytes) -> PermissionLevel | None:
        """Permission level of one of the tokens. Both are always compared, in constant time."""
        control = hmac.compare_digest(credential, self.control)
        data = hmac.compare_digest(credential, self.data)
        return PermissionLevel.MANAGE if control else PermissionLevel.QUERY if data else None


def token_sources(settings: ServerSettings) -> tuple[str, str]:
    """Sources of the control token and the data token: a file or an environment variable."""
    access = settings.serving
    control = str(settings.token_file) if access.token is None else "MODEL_SERVER_TOKEN"
    data = str(settings.data_token_file) if access.data_token is None else "MODEL_SERVER_DATA_TOKEN"
    return control, data


def check_allowed(level: PermissionLevel, method: str, path: str) -> None:
    """Check that a permission level covers a request.

    Raises:
        ApiError: the request needs the control token (403).
    """
    if level is PermissionLevel.QUERY and not any(
        method in methods and pattern.fullmatch(path) for methods, pattern in _DATA_TOKEN_ROUTES
    ):
        message = (
            f"The data token may only query and read endpoints; '{method} {path[:200]}' needs the control token."
        )
        raise ApiError(403, "PERMISSION_DENIED", message)


def ensure_token(path: Path, credentials: Path | None = None) -> str:
    """Read the token from a file, or create the file.

    Raises:
        TokenUnusable: the file is empty, or other users can read it.
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
    """The token in a file.

    A file below `credentials` may be readable by its group: systemd grants access by an ACL, whose mask appears as
    the group mode.

    Raises:
        TokenUnusable: the file is missing, its token is too short, or other users can read it.
    """
    if not path.is_file():
        raise TokenUnusable(
            f"no token file at {path}",
            hint="Start the server, which creates one: python -m deployment.run serve",
        )
    systemd = credentials is not None and path.resolve().is_relative_to(credentials.resolve())
    if path.stat().st_mode & (0o037 if systemd else 0o077):
        raise TokenUnusable(f"other users can read the token in {path}", hint=f"Restrict it: chmod 600 {path}")
    token = path.read_text("ascii", errors="replace").strip()
    if len(token) < MIN_TOKEN_LENGTH:
        raise TokenUnusable(
            f"the token in {path} is shorter than {MIN_TOKEN_LENGTH} characters",
            hint=f"Delete {path} and start the server again.",
        )
    if not token.isascii() or any(character.isspace() for character in token):
        raise TokenUnusable(
            f"{path} holds more than one token of ASCII characters",
            hint=f"Keep one token in it, or delete {path} and start the server again.",
        )
    return token


_DATA_TOKEN_ROUTES = (
    (("GET", "POST"), re.compile(r"(/serving-endpoints/[^/]+(/served-models/[^/]+)?)?/invocations")),
    (("GET",), re.compile(r"/serving-endpoints/[^/]+/(ping|health|version|openapi)")),
    (("GET",), re.compile(r"/api/2\.0/serving-endpoints(/[^/]+(/(openapi|metrics))?)?")),
    (("GET",), re.compile(r"/metrics")),
    (("GET",), re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?(/ready)?")),
    (("POST",), re.compile(r"/v2/models/[^/]+(/versions/[^/]+)?/infer")),
)
"""Routes open to the data token. Any other route is refused, including routes added later."""


def credential_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token of a request: a bearer token, or as on Databricks the basic-auth password of the user `token`.

    Raises:
        ApiError: no token (401).
    """
    header = next((value for name, value in headers if name == b"authorization"), b"")
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


def _checked(variable: str, token: str | None) -> str | None:
    if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or token.split() != [token]):
        raise TokenUnusable(
            f"{variable} must have at least {MIN_TOKEN_LENGTH} ASCII characters and no blanks around them",
            hint=f"Create one: {variable}=$(python -c 'import secrets; print(secrets.token_urlsafe(32))')",
        )
    return token
