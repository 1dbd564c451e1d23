"""A workspace with serving endpoints, behind an autospecced SDK: calls that the SDK does not have raise.

It exports metrics as Databricks does: gauges with the counts of the last full minute, and its time.
"""

import io
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import ApiClient
from databricks.sdk.errors import NotFound
from databricks.sdk.mixins.open_ai_client import ServingEndpointsExt
from databricks.sdk.service.serving import (
    EndpointCoreConfigInput,
    EndpointTag,
    ExportMetricsResponse,
    QueryEndpointResponse,
    ServedEntityInput,
    ServingEndpointDetailed,
    TrafficConfig,
)

BOUNDS = (5, 10, 25, 50, 600_000)
Load = Callable[[str], str]  # from a version to the reason why it does not load; empty if it does


class FakeWorkspace:
    """One endpoint of a workspace.

    Attributes:
        client: the autospecced client.
        now: time of its clock, in seconds.
    """

    def __init__(self, load: Load, predict: Callable[[str, Any], Any]) -> None:
        endpoints: Any = create_autospec(ServingEndpointsExt, instance=True)
        self.client: Any = create_autospec(WorkspaceClient, instance=True)
        self.client.serving_endpoints, self.client.api_client = endpoints, create_autospec(ApiClient, instance=True)
        self.client.config.host = "https://a-workspace"
        self.now = 0.0
        self.tags: dict[str, str] = {}
        self._load, self._predict = load, predict
        self._config: dict[str, Any] = {}
        self._failed: dict[str, Any] = {}
        self._minutes: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._sent = 0
        endpoints.get.side_effect = self._get
        endpoints.create.side_effect = self._create
        endpoints.update_config.side_effect = self._update
        endpoints.export_metrics.side_effect = self._export
        endpoints.patch.side_effect = self._patch
        endpoints.delete.side_effect = self._delete
        endpoints.query.side_effect = self._query
        self.client.api_client.do.side_effect = self._do

    def _get(self, name: str) -> ServingEndpointDetailed:
        if not self._config and not self._failed:
            raise NotFound(f"no endpoint {name}")
        update = "UPDATE_FAILED" if self._failed else "NOT_UPDATING"
        described = {
            "name": name, "state": {"ready": "READY" if self._config else "NOT_READY", "config_update": update},
            "config": self._config, "tags": [{"key": key, "value": value} for key, value in self.tags.items()],
        }  # fmt: skip
        pending = {"pending_config": self._failed} if self._failed else {}
        return ServingEndpointDetailed.from_dict(described | pending)

    def _create(self, name: str, *, config: EndpointCoreConfigInput) -> None:
        self._update(name, config.served_entities or [], config.traffic_config)

    def _update(
        self, _name: str, served_entities: list[ServedEntityInput], traffic_config: TrafficConfig | None
    ) -> None:
        assert traffic_config is not None
        entities = [
            each.as_dict() | {"state": {"deployment_state_message": self._load(each.entity_version or "")}}
            for each in served_entities
        ]
        assert sum(route.traffic_percentage for route in traffic_config.routes or []) == 100
        config = {"config_version": 1, "served_entities": entities, "traffic_config": traffic_config.as_dict()}
        loaded = not any(each["state"]["deployment_state_message"] for each in entities)
        self._config, self._failed = (config, {}) if loaded else (self._config, config)

    def _delete(self, _name: str) -> None:
        self._config, self._failed = {}, {}

    def _query(self, _name: str, *, dataframe_records: Any) -> QueryEndpointResponse:
        """Send each request to a version by turns, in the shares of the traffic."""
        self._sent += 1
        routes = self._config["traffic_config"]["routes"]
        point, cumulative = (self._sent * 37) % 100, 0
        for route in routes:
            cumulative += route["traffic_percentage"]
            if point < cumulative:
                self._minutes[int(self.now // 60)][route["served_model_name"]] += 1
                break
        return QueryEndpointResponse(predictions=[])

    def _export(self, _name: str) -> ExportMetricsResponse:
        minute = int(self.now // 60) - 1
        at, lines = minute * 60_000, ["# TYPE request_count_total gauge"]
        for entity in self._config["served_entities"]:
            label, requests = f'served_entity_name="{entity["name"]}"', self._minutes[minute][entity["name"]]
            lines += [f"request_count_total{{{label}}} {requests} {at}", f"request_5xx_count_total{{{label}}} 0 {at}"]
            buckets = [f'request_latency_ms_bucket{{{label},le="{bound}"}} {requests} {at}' for bound in BOUNDS]
            lines += [*buckets, f'request_latency_ms_bucket{{{label},le="+Inf"}} {requests} {at}']
        return ExportMetricsResponse(contents=io.BytesIO("\n".join([*lines, ""]).encode()))

    def _patch(
        self, _name: str, *, add_tags: list[EndpointTag] | None = None, delete_tags: list[str] | None = None
    ) -> None:
        self.tags |= {tag.key: tag.value or "" for tag in add_tags or []}
        self.tags = {key: value for key, value in self.tags.items() if key not in (delete_tags or [])}

    def _do(self, method: str, path: str, *, body: Any) -> dict[str, Any]:
        entity = path.split("/")[4]
        assert (method, path.split("/")[1:4:2], path.split("/")[3]) == (
            "POST", ["serving-endpoints", "served-models"], "served-models",
        )  # fmt: skip
        known = {each["name"]: each["entity_version"] for each in self._config["served_entities"]}
        return {"predictions": [self._predict(known[entity], row) for row in body["dataframe_records"]]}
