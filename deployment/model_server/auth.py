"""One bearer token for both planes: made at the first start, kept in a file that only its owner reads."""

import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from deployment.model_server.errors import ApiError
from lakehouse.errors import LakehouseError


class TokenUnusable(LakehouseError):
    """The token file is empty, or others can read it."""


def ensure_token(path: Path) -> str:
    """Read the token, or make one where there is none.

    Raises:
        TokenUnusable: the file is empty, or its mode lets others in.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return read_token(path)


def read_token(path: Path) -> str:
    """The token in the file.

    Raises:
        TokenUnusable: it is missing, empty, or its mode lets others in.
    """
    if not path.is_file():
        raise TokenUnusable(
            f"there is no token in {path}", hint="Start the server, which makes one: python -m deployment.run serve"
        )
    if path.stat().st_mode & 0o077:
        raise TokenUnusable(f"others can read the token in {path}", hint=f"Close it: chmod 600 {path}")
    token = path.read_text("ascii", errors="replace").strip()
    if len(token) < 16:
        raise TokenUnusable(
            f"the token in {path} is shorter than 16 characters", hint=f"Delete {path} and serve again."
        )
    return token


def authenticate(headers: Iterable[tuple[bytes, bytes]], token: bytes) -> None:
    """Let a request pass that carries the token.

    Raises:
        ApiError: no credential (401), or a wrong one (403).
    """
    given = next((value for name, value in headers if name == b"authorization"), b"")
    scheme, _, credential = given.partition(b" ")
    if scheme.lower() != b"bearer" or not credential:
        message = (
            "Credential was not sent or was of an unsupported type for this API. Send 'Authorization: Bearer TOKEN'."
        )
        raise ApiError(401, "UNAUTHENTICATED", message, headers={"www-authenticate": "Bearer"})
    if not hmac.compare_digest(credential.strip(), token):
        raise ApiError(403, "PERMISSION_DENIED", "Invalid access token.")
