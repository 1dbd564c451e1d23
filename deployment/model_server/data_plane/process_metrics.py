"""Metrics of model processes: how many run, their memory, and how many ended early."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from deployment.model_server.data_plane.live_endpoints import LiveEndpoints
from deployment.model_server.models.contract_model import ContractModel
from deployment.model_server.models.isolated_model import IsolatedModel

_LABELS = ["endpoint", "served_entity"]


class ModelProcessCollector(Collector):
    """Exports the processes of each served version with foreign code, at the time of the scrape."""

    def __init__(self, endpoints: LiveEndpoints) -> None:
        self._endpoints = endpoints

    def collect(self) -> Iterator[Metric]:
        processes = GaugeMetricFamily("model_server_model_processes", "Processes of a version.", labels=_LABELS)
        memory = GaugeMetricFamily(
            "model_server_model_process_memory_bytes",
            "Resident memory of the processes of a version after their latest replies.",
            labels=_LABELS,
        )
        ends = CounterMetricFamily(
            "model_server_model_process_ends",
            "Processes that ended by themselves (crash), or that the server ended (deadline, memory).",
            labels=[*_LABELS, "reason"],
        )
        for endpoint, served, model in self._endpoints.loaded():
            processes_of = model.workers if isinstance(model, ContractModel) else model
            if isinstance(processes_of, IsolatedModel):
                found = processes_of.statistics
                processes.add_metric([endpoint, served], found.processes)
                memory.add_metric([endpoint, served], found.memory)
                for reason, count in found.ended.items():
                    ends.add_metric([endpoint, served, reason], count)
        yield from (processes, memory, ends)
