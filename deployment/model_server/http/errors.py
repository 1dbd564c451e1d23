"""Answers that refuse a request, as Databricks words them: a status, an `error_code` and a message."""

from collections.abc import Mapping
from typing import Any

from lakehouse.errors import LakehouseError, nearest

SHOWN = 200  # characters of what a caller sent


class ApiError(LakehouseError):
    """A refusal that reaches the caller as JSON."""

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

    @classmethod
    def invalid(cls, message: str) -> "ApiError":
        """A control request with a wrong value."""
        return cls(400, "INVALID_PARAMETER_VALUE", message)

    @classmethod
    def bad_request(cls, message: str, **details: Any) -> "ApiError":
        """A scoring request that cannot be answered."""
        return cls(400, "BAD_REQUEST", message, **details)

    @classmethod
    def wrong_value(cls, row: int, field: str, expected: str, got: str) -> "ApiError":
        """One value of a scoring request, told as a breach of a model's own contract is told."""
        problem = {"row": row, "field": field, "expected": expected, "got": got}
        place = f"row {row}" + (f", field '{field}'" if field else "")
        return cls.bad_request(f"{place}: expected {expected}, got {got}", problems=[problem], found=1)

    @classmethod
    def unknown_endpoint(cls, name: str, known: list[str]) -> "ApiError":
        name = name[:SHOWN]
        message = f"The endpoint '{name}' does not exist. {nearest(name, known)}"
        return cls(404, "RESOURCE_DOES_NOT_EXIST", message)

    @classmethod
    def unknown_served_entity(cls, endpoint: str, name: str, known: list[str]) -> "ApiError":
        name = name[:SHOWN]
        message = f"The endpoint '{endpoint}' serves no entity '{name}'. {nearest(name, known)}"
        return cls(404, "RESOURCE_DOES_NOT_EXIST", message)

    @classmethod
    def endpoint_exists(cls, name: str) -> "ApiError":
        message = f"The endpoint '{name}' already exists. Update its config, or delete it first."
        return cls(409, "RESOURCE_ALREADY_EXISTS", message)

    @classmethod
    def update_in_progress(cls, name: str) -> "ApiError":
        message = f"The endpoint '{name}' is being updated; one update at a time. Wait until it has ended."
        return cls(409, "RESOURCE_CONFLICT", message)

    @classmethod
    def unavailable(cls, message: str) -> "ApiError":
        """Something that an answer needs is not there now, and may be later."""
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
        message = f"The endpoint '{name}' could not be loaded again, which is tried now and then: {reason}"
        return cls(503, "TEMPORARILY_UNAVAILABLE", message, headers={"retry-after": "10"})

    @classmethod
    def overloaded(cls, limit: int) -> "ApiError":
        message = f"{limit} requests are being answered already. Send this one again in a moment."
        return cls(429, "RESOURCE_EXHAUSTED", message, headers={"retry-after": "1"})

    @classmethod
    def too_late(cls, seconds: float) -> "ApiError":
        message = f"The model did not answer within {seconds:g} s. Send fewer rows at a time."
        return cls(504, "DEADLINE_EXCEEDED", message)

    @classmethod
    def not_implemented(cls, what: str, why: str) -> "ApiError":
        """A part of the API that this server has not; the SDK does not try it again."""
        return cls(501, "NOT_IMPLEMENTED", f"'{what}' is not supported by this server: {why}.")
