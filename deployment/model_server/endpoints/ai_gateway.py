"""The AI gateway of an endpoint, of which this server knows the inference table: where requests and answers go."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class InferenceTable:
    """Where the request log of an endpoint is kept, in the fields of Databricks' `inference_table_config`."""

    catalog_name: str
    schema_name: str
    table_name_prefix: str
    enabled: bool = True

    @property
    def table(self) -> str:
        """The full name, as Databricks makes it.

        >>> InferenceTable("main", "logs", "churn").table
        'main.logs.churn_payload'
        """
        return f"{self.catalog_name}.{self.schema_name}.{self.table_name_prefix}_payload"


def described(table: InferenceTable | None) -> dict[str, Any]:
    """An AI-gateway config as the API shows it; empty where nothing was configured."""
    return {"inference_table_config": asdict(table)} if table else {}
