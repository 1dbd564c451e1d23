"""Callers of the model server, told apart by their tokens: what each may use, and how often."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from deployment.model_server.http.auth import PermissionLevel
from deployment.model_server.http.errors import ApiError

RESERVED = ("control-token", "data-token")
_ENDPOINT_PATH = re.compile(r"/(?:api/2\.0/serving-endpoints|serving-endpoints|v2/models)/([^/]+)(?:/.*)?")
_OF_EVERY_ENDPOINT = frozenset({"/metrics"})


@dataclass
class TokenBucket:
    """A limit on the rate of requests: `burst` at once, refilled by `rate` per second."""

    rate: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = float(self.burst), self.clock()

    def take(self) -> float:
        """Take one request; return 0, or the seconds until one is left."""
        now = self.clock()
        self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self.rate


@dataclass(frozen=True)
class Caller:
    """The sender of a request, identified by its token.

    Attributes:
        listed: True for a caller of the file, False for the two tokens of the server.
    """

    name: str
    level: PermissionLevel
    bucket: TokenBucket | None = None
    endpoints: frozenset[str] | None = None
    listed: bool = False

    def may_use(self, endpoint: str) -> bool:
        return self.endpoints is None or endpoint in self.endpoints

    def check_path(self, path: str) -> None:
        """Check that a caller of some endpoints asks for one of them.

        Raises:
            ApiError: another endpoint, or the metrics of all (403).
        """
        if self.endpoints is None:
            return
        found = _ENDPOINT_PATH.fullmatch(path)
        if path in _OF_EVERY_ENDPOINT or (found and found[1] not in self.endpoints):
            raise self._denied(f"'{path[:200]}'")

    def admit(self, endpoint: str) -> None:
        """Count one scoring request.

        Raises:
            ApiError: another endpoint (403), or too many requests (429).
        """
        if not self.may_use(endpoint):
            raise self._denied(f"the endpoint '{endpoint[:200]}'")
        if self.bucket is not None and (wait := self.bucket.take()):
            message = f"The caller '{self.name}' may send {self.bucket.rate:g} requests a second. Wait {wait:.3g} s."
            raise ApiError(429, "REQUEST_LIMIT_EXCEEDED", message, headers={"retry-after": str(math.ceil(wait))})

    def _denied(self, what: str) -> ApiError:
        return ApiError(403, "PERMISSION_DENIED", f"The caller '{self.name}' may not use {what}.")


CONTROL, DATA = (
    Caller(name, level) for name, level in zip(RESERVED, (PermissionLevel.MANAGE, PermissionLevel.QUERY), strict=True)
)


class CallerLimits:
    """Middleware of the data plane that holds callers of the file to their endpoints and rates."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            ApiError: another endpoint (403), or too many requests (429).
        """
        caller: Caller = scope["caller"]
        if caller.listed:
            caller.admit(scope["path_params"]["name"])
        await self._app(scope, receive, send)
