"""Error responses in the format of Databricks: a status, an `error_code` and a message."""

import logging
import math
import uuid
from collections.abc import Mapping
from typing import Any

from lakehouse.errors import LakehouseError, nearest

LOG = logging.getLogger(__name__)
MAX_ECHO_LENGTH = 200  # characters of a caller's input that a message repeats


class ApiError(LakehouseError):
    """An error that the caller receives as JSON."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **details: Any
    ) -> None:
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.details = details
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        return {"error_code": self.code, "message": self.failed, **self.details}

    def body_for(self, path: str) -> dict[str, Any]:
        """The body of the response on a path: the Open Inference Protocol has its own format."""
        return {"error": self.failed} if path.startswith("/v2/") else self.body()

    @classmethod
    def invalid(cls, message: str) -> "ApiError":
        """An invalid value in a control request."""
        return cls(400, "INVALID_PARAMETER_VALUE", message)

    @classmethod
    def bad_request(cls, message: str, **details: Any) -> "ApiError":
        """A scoring request without predictions."""
        return cls(400, "BAD_REQUEST", message, **details)

    @classmethod
    def wrong_value(cls, row: int, field: str, expected: str, got: str) -> "ApiError":
        """An invalid value in a scoring request, in the format of a contract violation."""
        problem = {"row": row, "field": field, "expected": expected, "got": got}
        location = f"row {row}" + (f", field '{field}'" if field else "")
        return cls.bad_request(f"{location}: expected {expected}, got {got}", problems=[problem], found=1)

    @classmethod
    def unknown_endpoint(cls, name: str, known: list[str]) -> "ApiError":
        name = name[:MAX_ECHO_LENGTH]
        message = f"The endpoint '{name}' does not exist. {nearest(name, known)}"
        return cls(404, "RESOURCE_DOES_NOT_EXIST", message)

    @classmethod
    def unknown_served_entity(cls, endpoint: str, name: str, known: list[str]) -> "ApiError":
        name = name[:MAX_ECHO_LENGTH]
        message = f"The endpoint '{endpoint}' serves no entity '{name}'. {nearest(name, known)}"
        return cls(404, "RESOURCE_DOES_NOT_EXIST", message)

    @classmethod
    def endpoint_exists(cls, name: str) -> "ApiError":
        message = f"The endpoint '{name}' already exists. Update its config, or delete it first."
        return cls(409, "RESOURCE_ALREADY_EXISTS", message)

    @classmethod
    def update_in_progress(cls, name: str) -> "ApiError":
        message = (
            f"The endpoint '{name}' has an update in progress. Wait until it ends; only one update runs at a time."
        )
        return cls(409, "RESOURCE_CONFLICT", message)

    @classmethod
    def unavailable(cls, message: str) -> "ApiError":
        """A resource that the request needs is temporarily unavailable."""
        return cls(503, "TEMPORARILY_UNAVAILABLE", message, headers={"retry-after": "1"})

    @classmethod
    def loading(cls, name: str) -> "ApiError":
        message = f"The endpoint '{name}' is still loading its models."
        return cls(503, "TEMPORARILY_UNAVAILABLE", message, headers={"retry-after": "1"})

    @classmethod
    def not_loaded(cls, name: str, reason: str) -> "ApiError":
        message = f"The endpoint '{name}' is not ready: {reason or 'no traffic reaches a loaded model'}"
        return cls(400, "INVALID_STATE", message)

    @classmethod
    def not_recovered(cls, name: str, reason: str) -> "ApiError":
        message = (
            f"The endpoint '{name}' could not be loaded after a restart. The server keeps trying. Reason: {reason}"
        )
        return cls(503, "TEMPORARILY_UNAVAILABLE", message, headers={"retry-after": "10"})

    @classmethod
    def overloaded(cls, limit: int) -> "ApiError":
        message = f"The server already has {limit} requests in flight. Send this one again in a moment."
        return cls(429, "RESOURCE_EXHAUSTED", message, headers={"retry-after": "1"})

    @classmethod
    def overloaded_version(cls) -> "ApiError":
        message = "Too many requests wait for this version. Send this one again in a moment."
        return cls(429, "RESOURCE_EXHAUSTED", message, headers={"retry-after": "1"})

    @classmethod
    def no_process(cls, seconds: float) -> "ApiError":
        """The processes of a version ended several times in a row, and the next one starts later."""
        message = "The processes of this version have ended several times. The server starts another one soon."
        headers = {"retry-after": str(math.ceil(seconds))}
        return cls(503, "TEMPORARILY_UNAVAILABLE", message, headers=headers)

    @classmethod
    def internal(cls, err: BaseException, request: str, served: str | None = None) -> "ApiError":
        """An unexpected error. It is logged under an id, and the caller receives only the id."""
        incident = uuid.uuid4().hex[:12]
        LOG.error("incident %s: %s", incident, request, exc_info=err)
        message = f"The server failed on this request. Its log holds the cause under the incident id {incident}."
        return cls(500, "INTERNAL_ERROR", message, headers={} if served is None else {"served-model-name": served})

    @classmethod
    def deadline_exceeded(cls, seconds: float) -> "ApiError":
        message = f"The model did not respond within {seconds:g} s. Send fewer rows at a time."
        return cls(504, "DEADLINE_EXCEEDED", message)

    @classmethod
    def not_implemented(cls, operation: str, reason: str) -> "ApiError":
        """An operation that this server does not support. The SDK does not retry a 501."""
        return cls(501, "NOT_IMPLEMENTED", f"'{operation}' is not supported by this server: {reason}.")
