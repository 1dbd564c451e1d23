"""The rate of a caller, and what a restricted caller may use."""

import pytest

from deployment.model_server.http.auth import PermissionLevel
from deployment.model_server.http.callers import Caller, TokenBucket
from deployment.model_server.http.errors import ApiError


def test_a_caller_may_send_its_burst_at_once_and_then_its_rate() -> None:
    now = [100.0]
    bucket = TokenBucket(rate=2, burst=3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    assert bucket.take() == pytest.approx(0.5), "seconds until one is left"
    now[0] += 0.5
    assert [bucket.take(), bucket.take()] == [0, pytest.approx(0.5)]
    now[0] += 3600
    assert [bucket.take() for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)], "an hour adds no more than the burst"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/serving-endpoints/a/invocations", True),
        ("/serving-endpoints/b/invocations", False),
        ("/serving-endpoints/b/openapi", False),
        ("/api/2.0/serving-endpoints", True),
        ("/api/2.0/serving-endpoints/a", True),
        ("/api/2.0/serving-endpoints/b/metrics", False),
        ("/v2/models/a/infer", True),
        ("/v2/models/b", False),
        ("/v2/models/b/versions/1/infer", False),
        ("/metrics", False),
    ],
)
def test_a_restricted_caller_sees_only_its_endpoints(path: str, allowed: bool) -> None:
    caller = Caller("shop", PermissionLevel.QUERY, endpoints=frozenset({"a"}), listed=True)
    Caller("everyone", PermissionLevel.QUERY, listed=True).check_path(path)
    if allowed:
        caller.check_path(path)
        return
    with pytest.raises(ApiError, match="The caller 'shop' may not use") as refused:
        caller.check_path(path)
    assert refused.value.status == 403
