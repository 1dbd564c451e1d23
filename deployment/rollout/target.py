"""The endpoint of a rollout, on the Databricks SDK: the same calls for our server and for a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import EndpointTag, ServingEndpointDetailed

from deployment.endpoints import endpoint_client
from deployment.endpoints.endpoint_client import translated_errors
from deployment.endpoints.state import format_traffic, is_updating, not_loaded, state
from deployment.endpoints.waiting import WaitLimit, find
from deployment.model_server.endpoints.endpoint import SHADOW
from deployment.rollout.limits.counts import MetricsReading
from deployment.rollout.limits.exposition import parse
from deployment.rollout.state import Rollout
from lakehouse.errors import LakehouseError
from scoring.golden import nearly_equal


class GoldenRowsDiffer(LakehouseError):
    """A version on an endpoint does not reproduce its golden rows."""


class NotReadable(LakehouseError):
    """The state of an endpoint cannot be judged now."""


@dataclass(frozen=True)
class EndpointView:
    """State of an endpoint during a rollout.

    Attributes:
        entities: name of the served entity of each version.
        changed: difference from the traffic of the rollout, in words; empty without one.
        failed: reason why the new version is not loaded; empty if it is.
    """

    entities: dict[int, str]
    changed: str = ""
    failed: str = ""


class RolloutTarget(Protocol):
    """Boundary between a controller and the endpoint."""

    def set_traffic(self, rollout: Rollout) -> None:
        """Bring the endpoint to the traffic of the rollout and wait until it is ready; create a missing one."""
        ...

    def check_golden_rows(self, rollout: Rollout, rows: Sequence[Any], expected: Sequence[Any]) -> None:
        """Replay golden rows on the new version.

        Raises:
            GoldenRowsDiffer: It refuses them, or predicts something else.
        """
        ...

    def view(self, rollout: Rollout) -> EndpointView:
        """Compare the endpoint with the rollout."""
        ...

    def reading(self, rollout: Rollout) -> MetricsReading:
        """Read the exported metrics."""
        ...


@dataclass(frozen=True)
class EndpointTarget:
    """Endpoint of a server or a workspace.

    Attributes:
        client: SDK client.
        limit: longest wait for an update, and the clock that measures it.
    """

    client: WorkspaceClient
    limit: WaitLimit

    def set_traffic(self, rollout: Rollout) -> None:
        endpoint_client.shift(self.client, rollout.endpoint, rollout.model, rollout.traffic, self.limit)
        self._mirror(rollout)

    def check_golden_rows(self, rollout: Rollout, rows: Sequence[Any], expected: Sequence[Any]) -> None:
        entity = self._entity(rollout)
        path = f"/serving-endpoints/{rollout.endpoint}/served-models/{entity}/invocations"
        try:
            with translated_errors(self.client, rollout.endpoint):
                answer: Any = self.client.api_client.do("POST", path, body={"dataframe_records": list(rows)})
        except endpoint_client.ServingRefused as err:
            raise GoldenRowsDiffer(f"it refuses its golden rows: {err.failed}") from err
        predicted = answer.get("predictions") if isinstance(answer, dict) else None
        if not nearly_equal(predicted, list(expected)):
            raise GoldenRowsDiffer(f"it predicts {predicted} for its golden rows; registered was {list(expected)}")

    def view(self, rollout: Rollout) -> EndpointView:
        with translated_errors(self.client, rollout.endpoint):
            endpoint = find(self.client, rollout.endpoint)
        if endpoint is None:
            return EndpointView({}, f"the endpoint '{rollout.endpoint}' does not exist: somebody deleted it")
        failed = not_loaded(endpoint, rollout.version)
        if not failed and is_updating(endpoint):
            raise NotReadable(f"the endpoint '{rollout.endpoint}' is being updated or restarted")
        entities = (endpoint.config and endpoint.config.served_entities) or []
        names = {int(entity.entity_version or 0): entity.name or "" for entity in entities}
        traffic = {version: share for version, share in state(endpoint).traffic.items() if share}
        expected = {version: share for version, share in rollout.traffic.items() if share}
        changed = "" if traffic == expected and rollout.version in names else (
            f"the endpoint serves {format_traffic(traffic) or 'nothing'}, not {format_traffic(rollout.traffic)}:"
            " somebody changed it"
        )  # fmt: skip
        return EndpointView(names, changed, failed)

    def reading(self, rollout: Rollout) -> MetricsReading:
        with translated_errors(self.client, rollout.endpoint):
            exported = self.client.serving_endpoints.export_metrics(rollout.endpoint).contents
        if exported is None:
            raise NotReadable(f"the endpoint '{rollout.endpoint}' exports nothing")
        with exported:
            return parse(exported.read().decode())

    def _mirror(self, rollout: Rollout) -> None:
        """Mirror requests to the new version, or to none."""
        endpoint = self._endpoint(rollout)
        current = next((tag.value for tag in endpoint.tags or [] if tag.key == SHADOW), None)
        wanted = self._entity(rollout) if rollout.mirroring else None
        with translated_errors(self.client, rollout.endpoint):
            if wanted is not None and wanted != current:
                self.client.serving_endpoints.patch(rollout.endpoint, add_tags=[EndpointTag(SHADOW, wanted)])
            elif wanted is None and current is not None:
                self.client.serving_endpoints.patch(rollout.endpoint, delete_tags=[SHADOW])

    def _entity(self, rollout: Rollout) -> str:
        """Served entity of the new version."""
        view = self.view(rollout)
        if rollout.version not in view.entities:
            raise NotReadable(view.changed)
        return view.entities[rollout.version]

    def _endpoint(self, rollout: Rollout) -> ServingEndpointDetailed:
        with translated_errors(self.client, rollout.endpoint):
            endpoint = find(self.client, rollout.endpoint)
        if endpoint is None:
            raise NotReadable(f"the endpoint '{rollout.endpoint}' does not exist")
        return endpoint


def _conforms(target: EndpointTarget) -> RolloutTarget:
    return target
