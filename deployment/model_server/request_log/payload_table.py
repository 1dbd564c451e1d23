"""The payload table of an endpoint: requests and responses in Delta, with the columns of Databricks' AI gateway."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployment.model_server.request_log.redaction import redact_request, redact_response

MAX_LOGGED_BYTES = 1024 * 1024  # of a request or a response; larger ones are not logged, as on Databricks


@dataclass(frozen=True)
class LogRule:
    """Rule of a model version for the request log: the sampling rate, and columns to redact."""

    sampling: float = 1.0
    redact: frozenset[str] = frozenset()

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "LogRule":
        """The rule in the metadata of a version, from `serving.request_log` of its use case."""
        rule = metadata.get("request_log") or {}
        return cls(float(rule.get("sampling", 1.0)), frozenset(rule.get("redact", ())))

    @classmethod
    def strictest(cls, rules: Iterable["LogRule"]) -> "LogRule":
        """A rule that satisfies all of them: the lowest sampling rate, and every column to redact.

        >>> LogRule.strictest([LogRule(0.5), LogRule(1.0, frozenset({"age"}))])
        LogRule(sampling=0.5, redact=frozenset({'age'}))
        """
        all_rules = list(rules)
        redact = frozenset[str]().union(*(rule.redact for rule in all_rules))
        return cls(min((rule.sampling for rule in all_rules), default=1.0), redact)


NO_RULE = LogRule()


@dataclass
class Exchange:
    """One request with its response; `received` is seconds since 1970.

    `rule` satisfies all versions of the endpoint. A request to an endpoint without traffic has no body.
    """

    id: str
    received: float
    requester: str | None = None
    client_request_id: str | None = None
    request: bytes = b""
    served: str | None = None
    milliseconds: float = 0.0
    status: int = 500
    response: bytes = b""
    rule: LogRule = NO_RULE

    @property
    def size(self) -> int:
        return len(self.request) + len(self.response)

    def row(self) -> dict[str, Any]:
        """The row of the payload table."""
        rule = self.rule
        moment = datetime.fromtimestamp(self.received, UTC)
        request, request_errors = _text(
            self.request, "REQUEST", lambda: redact_request(rule.redact, self.request), rule
        )
        response, response_errors = _text(
            self.response, "RESPONSE", lambda: redact_response(rule.redact, self.response, self.status), rule
        )
        return {
            "databricks_request_id": self.id,
            "request_date": moment.date(),
            "client_request_id": self.client_request_id,
            "request_time": moment,
            "status_code": self.status,
            "sampling_fraction": rule.sampling,
            "execution_duration_ms": round(self.milliseconds),
            "request": request,
            "response": response,
            "logging_error_codes": request_errors + response_errors,
            "served_entity_id": self.served,
            "requester": self.requester,
        }


def append(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to the table in a folder, in one commit. The first rows create the table.

    Only the owner may enter the folder, as with the log: requests hold personal data.
    """
    import pyarrow as pa  # with the Delta writer about 60 MiB, which a server without a request log saves
    from deltalake import write_deltalake

    text = pa.string()
    schema = pa.schema(
        [
            ("databricks_request_id", text),
            ("request_date", pa.date32()),
            ("client_request_id", text),
            ("request_time", pa.timestamp("us", tz="UTC")),
            ("status_code", pa.int32()),
            ("sampling_fraction", pa.float64()),
            ("execution_duration_ms", pa.int64()),
            ("request", text),
            ("response", text),
            ("logging_error_codes", pa.list_(text)),
            ("served_entity_id", text),
            ("requester", text),
        ]
    )
    make_private(folder)
    write_deltalake(str(folder), pa.Table.from_pylist(list(rows), schema), mode="append")


def make_private(folder: Path) -> None:
    """Create a folder that only its owner may enter, or take the rights of all others to an existing one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def _text(body: bytes, name: str, redacted: Callable[[], str], rule: LogRule) -> tuple[str | None, list[str]]:
    if len(body) > MAX_LOGGED_BYTES:
        return None, [f"MAX_{name}_SIZE_EXCEEDED"]
    if not rule.redact:
        return body.decode("utf-8", errors="replace"), []
    try:
        return redacted(), []
    except (ValueError, RecursionError):
        return None, [f"{name}_NOT_REDACTED"]
