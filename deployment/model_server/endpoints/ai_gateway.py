"""AI-gateway config of an endpoint. This server supports its inference table: the log of requests and responses."""

import re
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class InferenceTable:
    """The table for the request log of an endpoint, with the fields of Databricks' `inference_table_config`."""

    catalog_name: str
    schema_name: str
    table_name_prefix: str
    enabled: bool = True

    @property
    def payload(self) -> str:
        """The table's name in its schema."""
        return f"{self.table_name_prefix}_payload"

    @property
    def table(self) -> str:
        """The full table name, as Databricks builds it.

        >>> InferenceTable("main", "logs", "churn").table
        'main.logs.churn_payload'
        """
        return f"{self.catalog_name}.{self.schema_name}.{self.payload}"


def default_prefix(endpoint: str) -> str:
    """The prefix of a table that is named after its endpoint.

    >>> default_prefix("term-deposit")
    'term_deposit'
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", endpoint)


def ai_gateway_json(table: InferenceTable | None) -> dict[str, Any]:
    """The AI-gateway config as JSON; empty if none is set."""
    return {"inference_table_config": asdict(table)} if table else {}
