"""The check of responses under load, shared by a benchmark and a test."""

from collections import Counter
from typing import Any

import pytest

from benchmarks.harness.changes import check_responses
from benchmarks.harness.load import LoadFailed

NAMES = ["m-1", "m-2"]
GOOD = {(200, "m-1", b"1"): 90, (200, "m-2", b"2"): 10}


def test_responses_of_each_version_are_accepted() -> None:
    check_responses(Counter(GOOD), NAMES)


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        (GOOD | {(503, "", b"{}"): 1}, "1 of 101 requests failed"),
        ({(200, "m-1", b"1"): 90}, "responses came from"),
        (GOOD | {(200, "", b"1"): 1}, "responses came from"),
        (GOOD | {(200, "m-1", b"2"): 1}, "does not come from the version"),
        ({(200, "m-1", b"1"): 90, (200, "m-2", b"1"): 10}, "does not come from the version"),
    ],
)
def test_failed_or_mixed_up_responses_are_reported(responses: dict[Any, int], message: str) -> None:
    with pytest.raises(LoadFailed, match=message):
        check_responses(Counter(responses), NAMES)
