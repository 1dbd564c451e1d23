"""Hooks of a caller who sends centimetres and reads percentages."""

from collections.abc import Mapping
from typing import Any


def to_metres(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "height": record["height"] / 100}


def to_percentage(response: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    return {**response, "probability": 100 * response["probability"]}
