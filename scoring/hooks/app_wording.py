"""Example hooks: translate between the field names of an app and the columns of the model."""

import re
from collections.abc import Mapping
from typing import Any

COLUMNS = {"customerAge": "age", "salesChannel": "channel"}  # other names differ only in their spelling
VERDICTS = {0: "stays", 1: "leaves"}


def to_columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the app's fields to the columns that the model reads.

    >>> to_columns({"customerAge": 34, "recencyDays": 30, "orders90d": 2})
    {'age': 34, 'recency_days': 30, 'orders_90d': 2}
    """
    return {COLUMNS.get(field) or _snake_case(field): value for field, value in record.items()}


def to_app(response: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The response in the app's words, with the probability as a whole percentage.

    >>> to_app({"label": 1, "probability": 0.317}, {})
    {'verdict': 'leaves', 'percent': 32}
    """
    return {"verdict": VERDICTS[response["label"]], "percent": round(100 * response["probability"])}


def _snake_case(field: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", field).lower()
