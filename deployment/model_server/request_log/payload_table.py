"""The payload table of an endpoint: requests and answers in Delta, in the columns of Databricks' AI gateway."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployment.model_server.request_log.redaction import answer_without, request_without

LARGEST = 1024 * 1024  # bytes of a request or an answer; larger ones are not logged, as on Databricks


@dataclass(frozen=True)
class LogRule:
    """What a model version lets be logged: the share of requests, and which columns never."""

    sampling: float = 1.0
    redact: frozenset[str] = frozenset()

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> "LogRule":
        """As the version's use case says it."""
        said = metadata.get("request_log") or {}
        return cls(float(said.get("sampling", 1.0)), frozenset(said.get("redact", ())))

    @classmethod
    def strictest(cls, rules: Iterable["LogRule"]) -> "LogRule":
        """The least that any of them lets be logged.

        >>> LogRule.strictest([LogRule(0.5), LogRule(1.0, frozenset({"age"}))])
        LogRule(sampling=0.5, redact=frozenset({'age'}))
        """
        all_rules = list(rules)
        redact = frozenset[str]().union(*(rule.redact for rule in all_rules))
        return cls(min((rule.sampling for rule in all_rules), default=1.0), redact)


NO_RULE = LogRule()


@dataclass
class Exchange:
    """One request and what came of it; `received` is seconds since 1970.

    `rule` is that of the versions which the request came to; one that came to none has no body.
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
        request, of_request = _text(self.request, "REQUEST", lambda: request_without(rule.redact, self.request), rule)
        response, of_response = _text(
            self.response, "RESPONSE", lambda: answer_without(rule.redact, self.response, self.status), rule
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
            "logging_error_codes": of_request + of_response,
            "served_entity_id": self.served,
            "requester": self.requester,
        }


def append(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the table in a folder, in one commit; the first ones make the table."""
    import pyarrow as pa  # with the Delta writer some 60 MiB, which a server without a log does without
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
    write_deltalake(str(folder), pa.Table.from_pylist(list(rows), schema), mode="append")


def _text(body: bytes, which: str, hidden: Callable[[], str], rule: LogRule) -> tuple[str | None, list[str]]:
    if len(body) > LARGEST:
        return None, [f"MAX_{which}_SIZE_EXCEEDED"]
    if not rule.redact:
        return body.decode("utf-8", errors="replace"), []
    try:
        return hidden(), []
    except (ValueError, RecursionError):
        return None, [f"{which}_NOT_REDACTED"]
