"""Metrics of one endpoint under the names of Databricks' export, so that the same dashboards work."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


@dataclass
class _Series:
    """Requests of one status: cumulative count for each histogram bucket, and total seconds."""

    status: str
    buckets: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class DatabricksCollector(Collector):
    """Exports `request_count_total` and the related metrics of one endpoint; times are in milliseconds."""

    def __init__(self, seconds: Histogram, endpoint: str) -> None:
        self._seconds = seconds
        self._endpoint = endpoint

    def collect(self) -> Iterator[Metric]:
        labels = ["endpoint_name", "served_entity_name"]
        counts = {
            "": CounterMetricFamily("request_count", "Requests.", labels=labels),
            "4": CounterMetricFamily("request_4xx_count", "Requests that the server refused.", labels=labels),
            "5": CounterMetricFamily("request_5xx_count", "Requests on which the server failed.", labels=labels),
        }
        latency = HistogramMetricFamily("request_latency_ms", "Time from request to response.", labels=labels)
        for served, series in sorted(self._by_entity().items()):
            values = [self._endpoint, served]
            for prefix, family in counts.items():
                family.add_metric(
                    values, sum(each.buckets["+Inf"] for each in series if each.status.startswith(prefix))
                )
            total: Counter[str] = sum((each.buckets for each in series), Counter())
            buckets = [(_text(float(bound) * 1000), total[bound]) for bound in series[0].buckets]
            latency.add_metric(values, buckets, sum(each.seconds for each in series) * 1000)
        yield from (*counts.values(), latency)

    def _by_entity(self) -> dict[str, list[_Series]]:
        """Series of the endpoint by served entity, one for each version and status."""
        by_entity: dict[str, dict[tuple[str, str], _Series]] = {}
        for sample in next(iter(self._seconds.collect())).samples:
            labels = sample.labels
            if labels["endpoint"] != self._endpoint:
                continue
            entity = by_entity.setdefault(labels["served_entity"], {})
            series = entity.setdefault((labels["version"], labels["status"]), _Series(labels["status"]))
            if sample.name.endswith("_bucket"):
                series.buckets[labels["le"]] += int(sample.value)
            elif sample.name.endswith("_sum"):
                series.seconds = sample.value
        return {served: list(series.values()) for served, series in by_entity.items()}


def _text(bound: float) -> str:
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]
    return text
