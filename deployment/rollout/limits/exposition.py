"""Counts of the served entities of an endpoint, parsed from its exported metrics.

Both forms of the export are read. Our server exports counters. Databricks exports gauges under the same names: the
counts of one minute, with its time.
"""

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from deployment.rollout.limits.counts import MetricsReading, VersionCounts
from lakehouse.errors import LakehouseError

REQUESTS, REFUSED, FAILED = "request_count_total", "request_4xx_count_total", "request_5xx_count_total"
BUCKET = "request_latency_ms_bucket"
MIRRORED = "shadow_responses_total"  # of our server, while it mirrors requests
_ENTITY = ("served_entity_name", "served_model_name", "served_model")


class MetricsMissing(LakehouseError):
    """The export of an endpoint lacks metrics that a rollout needs."""

    @classmethod
    def of(cls, what: str) -> "MetricsMissing":
        return cls(
            f"the metrics of the endpoint have no {what}",
            hint="A rollout in steps compares the versions by request_count_total, request_4xx_count_total,"
            " request_5xx_count_total and request_latency_ms of each served entity. Without them, move all traffic at"
            " once: python -m deployment.run rollout --use-case NAME --at-once",
        )


def parse(text: str) -> MetricsReading:
    """Parse an export.

    Raises:
        MetricsMissing: There are no counts of requests, or they do not name the served entity.
    """
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    buckets: dict[str, dict[float, int]] = defaultdict(lambda: defaultdict(int))
    mirrored: dict[tuple[str, str], int] = {}
    times, known = set[float](), False
    try:
        families = list(_families(text))
    except ValueError as err:
        raise MetricsMissing.of(f"form that can be read ({err})") from err
    for family in families:
        known = known or family.name in {REQUESTS, REQUESTS.removesuffix("_total")}
        for sample in family.samples:
            if sample.name == MIRRORED:
                mirrored[sample.labels["served_entity_name"], sample.labels["outcome"]] = int(sample.value)
            if sample.name not in {REQUESTS, REFUSED, FAILED, BUCKET}:
                continue
            entity = next((sample.labels[label] for label in _ENTITY if label in sample.labels), None)
            if entity is None:
                raise MetricsMissing.of(f"label {_ENTITY[0]} at {sample.name}")
            if sample.name == BUCKET:
                buckets[entity][float(sample.labels["le"])] += int(sample.value)
            else:
                totals[entity][sample.name] += sample.value
            if sample.timestamp is not None:
                times.add(float(sample.timestamp))
    if not known:
        raise MetricsMissing.of(REQUESTS)
    if any(totals[entity][REQUESTS] and entity not in buckets for entity in list(totals)):
        raise MetricsMissing.of(BUCKET.removesuffix("_bucket"))
    entities = {
        entity: VersionCounts(
            int(totals[entity][REQUESTS]),
            int(totals[entity][REFUSED]),
            int(totals[entity][FAILED]),
            dict(sorted(buckets[entity].items())),
        )
        for entity in totals.keys() | buckets.keys()
    }
    return MetricsReading(entities, max(times) if times else None, mirrored)


def _families(text: str) -> Iterator[Metric]:
    yield from text_string_to_metric_families(text)
