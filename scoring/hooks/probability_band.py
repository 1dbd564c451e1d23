"""A worked example: beside the probability, a word that people act on."""

from collections.abc import Mapping
from typing import Any

MEDIUM, HIGH = 0.2, 0.4  # where the bands begin


def add_band(answer: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, and whether its probability is low, medium or high.

    >>> add_band({"label": 1, "probability": 0.32}, {})
    {'label': 1, 'probability': 0.32, 'band': 'medium'}
    """
    probability = answer["probability"]
    return {**answer, "band": "low" if probability < MEDIUM else "medium" if probability < HIGH else "high"}
