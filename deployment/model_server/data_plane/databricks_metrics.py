"""The numbers of one endpoint as Databricks exports them, so that a dashboard reads both."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


@dataclass
class _Series:
    """The requests of one status: how many took at most so long, by the bound, and all their seconds."""

    status: str
    buckets: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class AsDatabricks(Collector):
    """The requests of one endpoint as `request_count_total` and its kin, times in milliseconds."""

    def __init__(self, seconds: Histogram, endpoint: str) -> None:
        self._seconds = seconds
        self._endpoint = endpoint

    def collect(self) -> Iterator[Metric]:
        labels = ["endpoint_name", "served_entity_name"]
        counts = {
            "": CounterMetricFamily("request_count", "Requests.", labels=labels),
            "4": CounterMetricFamily("request_4xx_count", "Requests that were refused.", labels=labels),
            "5": CounterMetricFamily("request_5xx_count", "Requests at which the server failed.", labels=labels),
        }
        latency = HistogramMetricFamily("request_latency_ms", "From request to answer.", labels=labels)
        for served, series in sorted(self._by_entity().items()):
            named = [self._endpoint, served]
            for begins, family in counts.items():
                family.add_metric(
                    named, sum(each.buckets["+Inf"] for each in series if each.status.startswith(begins))
                )
            added: Counter[str] = sum((each.buckets for each in series), Counter())
            buckets = [(_text(float(bound) * 1000), added[bound]) for bound in series[0].buckets]
            latency.add_metric(named, buckets, sum(each.seconds for each in series) * 1000)
        yield from (*counts.values(), latency)

    def _by_entity(self) -> dict[str, list[_Series]]:
        """The series of the endpoint by served entity; one for each version and status."""
        found: dict[str, dict[tuple[str, str], _Series]] = {}
        for sample in next(iter(self._seconds.collect())).samples:
            labels = sample.labels
            if labels["endpoint"] != self._endpoint:
                continue
            of_entity = found.setdefault(labels["served_entity"], {})
            series = of_entity.setdefault((labels["version"], labels["status"]), _Series(labels["status"]))
            if sample.name.endswith("_bucket"):
                series.buckets[labels["le"]] += int(sample.value)
            elif sample.name.endswith("_sum"):
                series.seconds = sample.value
        return {served: list(series.values()) for served, series in found.items()}


def _text(bound: float) -> str:
    text: str = floatToGoString(bound)  # type: ignore[no-untyped-call]
    return text
