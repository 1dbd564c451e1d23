"""What a benchmark and a test hold answers under load to."""

from collections import Counter
from typing import Any

import pytest

from benchmarks.harness.changes import check
from benchmarks.harness.load import LoadFailed

NAMES = ["m-1", "m-2"]
GOOD = {(200, "m-1", b"1"): 90, (200, "m-2", b"2"): 10}


def test_each_version_answers_under_its_own_name() -> None:
    check(Counter(GOOD), NAMES)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (GOOD | {(503, "", b"{}"): 1}, "1 of 101 requests failed"),
        ({(200, "m-1", b"1"): 90}, "answered by"),
        (GOOD | {(200, "", b"1"): 1}, "answered by"),
        (GOOD | {(200, "m-1", b"2"): 1}, "does not come from the version"),
        ({(200, "m-1", b"1"): 90, (200, "m-2", b"1"): 10}, "does not come from the version"),
    ],
)
def test_what_breaks_the_promise_is_told(found: dict[Any, int], says: str) -> None:
    with pytest.raises(LoadFailed, match=says):
        check(Counter(found), NAMES)
