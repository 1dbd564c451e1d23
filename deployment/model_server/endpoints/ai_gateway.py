"""AI-gateway config of an endpoint. This server supports its inference table: the log of requests and responses."""

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
    def table(self) -> str:
        """The full table name, as Databricks builds it.

        >>> InferenceTable("main", "logs", "churn").table
        'main.logs.churn_payload'
        """
        return f"{self.catalog_name}.{self.schema_name}.{self.table_name_prefix}_payload"


def ai_gateway_json(table: InferenceTable | None) -> dict[str, Any]:
    """The AI-gateway config as JSON; empty if none is set."""
    return {"inference_table_config": asdict(table)} if table else {}
