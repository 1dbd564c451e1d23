"""The golden request that a registered version carries, and the answer that it gave when it was registered."""

import math
from typing import Any

REQUEST, ANSWER = "golden_request", "golden_answer"


def rows_of(said: Any) -> list[Any]:
    """What a version brings along as rows; one that brings a single row says it without a list.

    >>> rows_of({"age": 41}), rows_of([{"age": 41}, {"age": None}])
    ([{'age': 41}], [{'age': 41}, {'age': None}])
    """
    return said if isinstance(said, list) else [said]


def agree(found: Any, expected: Any) -> bool:
    """Equal, but for the last digits of numbers, which differ between machines.

    >>> agree([{"p": 0.30000000000000004}], [{"p": 0.3}]), agree([{"p": 0.31}], [{"p": 0.3}]), agree(1, True)
    (True, False, False)
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(agree(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(agree, found, expected))
    if isinstance(found, float) or isinstance(expected, float):
        numbers = isinstance(found, int | float) and isinstance(expected, int | float)
        return numbers and math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    return type(found) is type(expected) and bool(found == expected)
