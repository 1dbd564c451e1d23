"""Counts from the exported metrics of an endpoint, of our server and of Databricks, over the same interval."""

import json

import pytest

from deployment.rollout.limits.counts import MetricsReading, StepCounts, VersionCounts
from deployment.rollout.limits.exposition import MetricsMissing, parse

OURS = """\
# HELP request_count Requests.
# TYPE request_count counter
request_count_total{{endpoint_name="e",served_entity_name="m-1"}} {requests}
request_5xx_count_total{{endpoint_name="e",served_entity_name="m-1"}} 1.0
# TYPE request_latency_ms histogram
request_latency_ms_bucket{{endpoint_name="e",served_entity_name="m-1",le="2.5"}} 3.0
request_latency_ms_bucket{{endpoint_name="e",served_entity_name="m-1",le="+Inf"}} {requests}
# EOF
"""
DATABRICKS = """\
# TYPE request_count_total gauge
request_count_total{{endpoint_name="e",served_entity_name="m-1"}} {requests} {minute}
# TYPE request_latency_ms histogram
request_latency_ms_bucket{{endpoint_name="e",served_entity_name="m-1",le="5"}} {requests} {minute}
request_latency_ms_bucket{{endpoint_name="e",served_entity_name="m-1",le="+Inf"}} {requests} {minute}
"""
ENTITIES = {1: "m-1", 2: "m-2"}


def test_counters_of_our_server_count_from_the_first_reading() -> None:
    interval = StepCounts()
    for requests in (10, 12, 20):
        interval = interval.extended(parse(OURS.format(requests=requests)), ENTITIES)
    assert interval.of(1) == VersionCounts(10, 0, 0, {2.5: 0, float("inf"): 10})
    assert interval.of(2) == VersionCounts()
    assert interval.of(1).slower_than(2.5) == 10
    restarted = interval.extended(parse(OURS.format(requests=4)), ENTITIES)
    assert restarted.of(1).requests == 14, "after a restart of the server its counters begin again"


def test_a_restart_that_one_version_shows_counts_for_the_other_too() -> None:
    def read(interval: StepCounts, stable: int, new: int) -> StepCounts:
        return interval.extended(MetricsReading({"m-1": VersionCounts(stable), "m-2": VersionCounts(new)}), ENTITIES)

    interval = read(read(StepCounts(), 1_000, 5), 1_100, 10)
    restarted = read(interval, 40, 30)
    assert (restarted.of(1).requests, restarted.of(2).requests) == (140, 35), "the same interval for both"


def test_minutes_of_databricks_are_added_up_once_each() -> None:
    interval = StepCounts()
    for minute, requests in ((60_000, 99), (60_000, 99), (120_000, 5), (120_000, 5), (180_000, 7), (120_000, 5)):
        interval = interval.extended(parse(DATABRICKS.format(requests=requests, minute=minute)), ENTITIES)
    assert interval.of(1) == VersionCounts(12, 0, 0, {5.0: 12, float("inf"): 12})


def test_an_interval_survives_as_json() -> None:
    interval = StepCounts().extended(parse(OURS.format(requests=5)), ENTITIES)
    interval = interval.extended(parse(OURS.format(requests=9)), ENTITIES)
    assert StepCounts.from_json(json.loads(json.dumps(interval.to_json()))) == interval


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "request_count_total"),
        ("cpu_usage_percentage 2.0\n", "request_count_total"),
        ('# TYPE request_count counter\nrequest_count_total{endpoint_name="e"} 3\n', "label served_entity_name"),
        ('# TYPE request_count counter\nrequest_count_total{served_entity_name="m-1"} 3\n', "request_latency_ms"),
        ("request_count_total{ 3", "form that can be read"),
    ],
)
def test_metrics_that_are_missing_are_named(text: str, missing: str) -> None:
    with pytest.raises(MetricsMissing, match=f"have no {missing}"):
        parse(text)


def test_an_endpoint_without_requests_has_no_missing_metrics() -> None:
    assert parse("# TYPE request_count counter\n# EOF\n") == MetricsReading({})
