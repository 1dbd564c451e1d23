"""The file of the callers: names, hashes of tokens, rates and endpoints.

A token has 256 random bits, so that one round of SHA-256 is enough: it cannot be guessed from its hash.
"""

import hashlib
import json
import logging
import math
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from deployment.model_server.http.auth import PermissionLevel
from deployment.model_server.http.callers import RESERVED, Caller, TokenBucket
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.request_body import decode
from lakehouse.errors import LakehouseError
from lakehouse.whole_files import replace_file

LOG = logging.getLogger(__name__)
_CORRECT = "Correct the file, or delete it and add its callers again: python -m deployment.run add-caller NAME"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"


class CallersUnusable(LakehouseError):
    """The file of the callers is damaged or readable by other users, or a name is wrong or taken."""


class CallerEntry(BaseModel):
    """One caller in the file: the hash of its token, and its limits.

    Attributes:
        sha256: SHA-256 of the token, in hexadecimal digits.
        rate: scoring requests per second; None: no limit.
        burst: scoring requests at once; None: the rate, at least 1.
        endpoints: endpoints that it may use; None: all.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rate: Annotated[float | None, Field(gt=0, le=1e6)] = None
    burst: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    endpoints: list[str] | None = None

    @model_validator(mode="after")
    def _burst_has_a_rate(self) -> Self:
        if self.burst is not None and self.rate is None:
            raise ValueError("burst needs a rate: without one nothing is limited")
        return self


_ENTRIES = TypeAdapter(dict[Annotated[str, Field(pattern=f"^{_NAME}$")], CallerEntry])


class CallersFile:
    """Reads the callers of a file, and again after the file has changed."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            CallersUnusable: it is damaged, or other users can read it.
        """
        self._path = path
        self._seen: object = None
        self._by_hash: dict[str, Caller] = {}
        self.refresh()

    def find(self, token: bytes) -> Caller | None:
        """The caller with a token."""
        return self._by_hash.get(hashlib.sha256(token).hexdigest()) if self._by_hash else None

    def refresh(self) -> None:
        """Read the file if it has changed. A caller with an unchanged rate keeps its count.

        Raises:
            CallersUnusable: it is damaged, or other users can read it.
        """
        seen = self._state()
        if seen == self._seen:
            return
        self._seen = seen
        known = {caller.name: caller for caller in self._by_hash.values()}
        self._by_hash = {
            entry.sha256: _caller(name, entry, known.get(name)) for name, entry in read_entries(self._path).items()
        }

    def refresh_or_keep(self) -> None:
        """Read the file if it has changed; if it is damaged, log the error and keep the previous callers."""
        try:
            self.refresh()
        except LakehouseError:
            LOG.exception("the previous callers stay valid")

    def _state(self) -> object:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def read_entries(path: Path) -> dict[str, CallerEntry]:
    """Callers of a file by name; empty without a file.

    Raises:
        CallersUnusable: it is damaged, or other users can read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise CallersUnusable(f"other users can read the callers in {path}", hint=f"Fix it: chmod 600 {path}")
        text = path.read_bytes()
        decode(text)  # refuses duplicate names
        entries = _ENTRIES.validate_json(text)
    except FileNotFoundError:
        return {}
    except ApiError as err:
        raise CallersUnusable(f"the callers in {path} cannot be read: {err.failed}", hint=_CORRECT) from err
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise CallersUnusable(
            f"the callers in {path} cannot be read: {place}: {first['msg']}",
            hint=_CORRECT,
        ) from err
    hashes = [entry.sha256 for entry in entries.values()]
    for name, entry in entries.items():
        if name in RESERVED or hashes.count(entry.sha256) > 1:
            reason = "has the name of a token of the server" if name in RESERVED else "shares its token with another"
            raise CallersUnusable(
                f"the caller '{name}' in {path} {reason}",
                hint=_CORRECT,
            )
    return entries


def add(path: Path, name: str, rate: float | None, burst: int | None, endpoints: list[str] | None) -> str:
    """Add a caller to the file; create the file if it is missing.

    Returns:
        Its new token, which is stored nowhere.

    Raises:
        CallersUnusable: the name is wrong or taken, or the file is damaged.
    """
    entries = read_entries(path)
    if name in entries or name in RESERVED or not re.fullmatch(_NAME, name):
        raise CallersUnusable(
            f"'{name}' cannot be the name of a new caller",
            hint="Take 1 to 63 letters, digits, dots, dashes and underscores. To replace the token of a caller, "
            "remove it first: python -m deployment.run remove-caller NAME",
        )
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    _write(path, entries | {name: CallerEntry(sha256=digest, rate=rate, burst=burst, endpoints=endpoints or None)})
    return token


def remove(path: Path, name: str) -> None:
    """Remove a caller from the file.

    Raises:
        CallersUnusable: no caller has this name, or the file is damaged.
    """
    entries = read_entries(path)
    if entries.pop(name, None) is None:
        known = ", ".join(sorted(entries)) or "none"
        raise CallersUnusable(f"no caller has the name '{name}'", hint=f"Callers in {path}: {known}.")
    _write(path, entries)


def _write(path: Path, entries: Mapping[str, CallerEntry]) -> None:
    values = {name: entry.model_dump(exclude_none=True) for name, entry in entries.items()}
    replace_file(path, json.dumps(values, indent=1), private=True)


def _caller(name: str, entry: CallerEntry, before: Caller | None) -> Caller:
    bucket = None
    if entry.rate is not None:
        burst = entry.burst or max(1, math.ceil(entry.rate))
        bucket = before.bucket if before else None
        if bucket is None or (bucket.rate, bucket.burst) != (entry.rate, burst):
            bucket = TokenBucket(entry.rate, burst)
    endpoints = None if entry.endpoints is None else frozenset(entry.endpoints)
    return Caller(name, PermissionLevel.QUERY, bucket, endpoints, listed=True)
