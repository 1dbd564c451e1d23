"""Shadow mode: copies of answered requests go to one more served entity, and its responses are only compared.

The tag `shadow_served_entity` of an endpoint names the entity. The Databricks API has no mirroring; tags it has.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from deployment.model_server.data_plane.traffic import Traffic
from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models.contract_model import LoadedModel
from scoring.golden import nearly_equal

MAX_MIRRORED = 8  # copies at once; further ones are dropped, so that they delay nobody
MAX_MIRRORED_ROWS = 128
PredictCopy = Callable[[str, LoadedModel, ScoringRequest], Awaitable[bytes]]
ObserveCopy = Callable[[str, str, str, int, float], None]


class Mirror:
    """Sends copies of requests to the shadow of an endpoint.

    Attributes:
        outcomes: number of copies by endpoint, served entity and outcome.
        observe: records endpoint, served entity, version, status and seconds of a copy, as of any request.
    """

    def __init__(self, predict: PredictCopy) -> None:
        self.outcomes = Counter(
            "model_server_shadow_responses",
            "Copies of requests to a shadow: same or different predictions, failed, or dropped.",
            ["endpoint", "served_entity", "outcome"],
            registry=None,
        )
        self.observe: ObserveCopy = lambda *_: None
        self._predict = predict
        self._tasks: set[asyncio.Task[None]] = set()

    def offer(self, name: str, traffic: Traffic, served: str, request: ScoringRequest, response: bytes) -> None:
        """Send a copy of an answered request to the shadow, if there is one that did not answer it itself."""
        shadow = traffic.shadow
        if shadow is None or shadow == served or shadow not in traffic.models:
            return
        if len(self._tasks) >= MAX_MIRRORED or request.size > MAX_MIRRORED_ROWS:
            self.outcomes.labels(name, shadow, "dropped").inc()
            return
        task = asyncio.get_running_loop().create_task(self._compare(name, traffic, shadow, request, response))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _compare(
        self, name: str, traffic: Traffic, shadow: str, request: ScoringRequest, response: bytes
    ) -> None:
        started, status = time.perf_counter(), 200
        try:
            mirrored = await self._predict(name, traffic.models[shadow], request)
            outcome = "same" if nearly_equal(_predictions(mirrored), _predictions(response)) else "different"
        except ApiError as err:
            status, outcome = err.status, "failed"
        except Exception:  # noqa: BLE001  (a model may raise anything, and nobody waits for this response)
            status, outcome = 500, "failed"
        self.outcomes.labels(name, shadow, outcome).inc()
        self.observe(name, shadow, traffic.versions[shadow], status, time.perf_counter() - started)


class ShadowCollector(Collector):
    """Exports the outcomes of the copies of one endpoint, beside the metrics under Databricks' names."""

    def __init__(self, outcomes: Counter, endpoint: str) -> None:
        self._outcomes = outcomes
        self._endpoint = endpoint

    def collect(self) -> Iterator[Metric]:
        labels = ["endpoint_name", "served_entity_name", "outcome"]
        family = CounterMetricFamily("shadow_responses", "Copies of requests to a shadow.", labels=labels)
        for sample in next(iter(self._outcomes.collect())).samples:
            if sample.labels.get("endpoint") == self._endpoint and sample.name.endswith("_total"):
                values = [self._endpoint, sample.labels["served_entity"], sample.labels["outcome"]]
                family.add_metric(values, sample.value)
        yield family


def _predictions(body: bytes) -> Any:
    return json.loads(body)["predictions"]
