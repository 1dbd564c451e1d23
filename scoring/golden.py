"""Golden request of a registered version and its predictions at registration; both are stored with the version."""

import math
from typing import Any

REQUEST, RESPONSE = "golden_request", "golden_response"


def as_rows(stored: Any) -> list[Any]:
    """Stored rows as a list; a single row may be stored without one.

    >>> as_rows({"age": 41}), as_rows([{"age": 41}, {"age": None}])
    ([{'age': 41}], [{'age': 41}, {'age': None}])
    """
    return stored if isinstance(stored, list) else [stored]


def nearly_equal(actual: Any, expected: Any) -> bool:
    """True if both are equal, up to the last digits of numbers, which differ between machines.

    >>> nearly_equal([{"p": 0.30000000000000004}], [{"p": 0.3}])
    True
    >>> nearly_equal([{"p": 0.31}], [{"p": 0.3}]), nearly_equal(1, True)
    (False, False)
    """
    if isinstance(actual, dict) and isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(nearly_equal(actual[key], expected[key]) for key in actual)
    if isinstance(actual, list) and isinstance(expected, list):
        return len(actual) == len(expected) and all(map(nearly_equal, actual, expected))
    if isinstance(actual, float) or isinstance(expected, float):
        numbers = isinstance(actual, int | float) and isinstance(expected, int | float)
        return numbers and math.isclose(actual, expected, rel_tol=1e-6, abs_tol=1e-9)
    return type(actual) is type(expected) and bool(actual == expected)
