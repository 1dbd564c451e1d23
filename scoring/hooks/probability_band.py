"""Example hook: adds a band to the probability, as a word for people."""

from collections.abc import Mapping
from typing import Any

MEDIUM, HIGH = 0.2, 0.4  # lower bounds of the bands


def add_band(response: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The response with the band of its probability: low, medium or high.

    >>> add_band({"label": 1, "probability": 0.32}, {})
    {'label': 1, 'probability': 0.32, 'band': 'medium'}
    """
    probability = response["probability"]
    return {**response, "band": "low" if probability < MEDIUM else "medium" if probability < HIGH else "high"}


def add_band_columns(responses: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """`add_band` of many responses, by field.

    >>> add_band_columns({"label": [1, 0], "probability": [0.32, 0.1]})
    {'label': [1, 0], 'probability': [0.32, 0.1], 'band': ['medium', 'low']}
    """
    bands = ["low" if each < MEDIUM else "medium" if each < HIGH else "high" for each in responses["probability"]]
    return {**responses, "band": bands}
