"""What the serving API says of an endpoint, read: pure, for Databricks and for our model server."""

from dataclasses import dataclass
from typing import Any

from databricks.sdk.service.serving import (
    EndpointStateConfigUpdate,
    EndpointStateReady,
    ServedModelStateDeployment,
    ServingEndpointDetailed,
)

SIZE = {"workload_size": "Small", "scale_to_zero_enabled": False}  # of an endpoint that is made here
# What whoever runs an endpoint may have set for its entity, and an update must not take back.
KEPT = (
    "workload_size", "workload_type", "scale_to_zero_enabled", "min_provisioned_concurrency",
    "max_provisioned_concurrency", "burst_scaling_enabled", "environment_vars", "instance_profile_arn",
)  # fmt: skip


@dataclass(frozen=True)
class EndpointState:
    """An endpoint that answers: its config version and the per cent of traffic by model version."""

    name: str
    config_version: int
    traffic: dict[int, int]

    def __str__(self) -> str:
        """As commands tell it.

        >>> str(EndpointState("churn", 3, {2: 100}))
        'Endpoint churn serves version 2 (100 %)'
        """
        served = ", ".join(f"version {version} ({share} %)" for version, share in self.traffic.items())
        return f"Endpoint {self.name} serves {served}"


def under_way(found: ServingEndpointDetailed) -> bool:
    """Whether an update runs, or its server has just started and is not there yet."""
    entities = (found.config and found.config.served_entities) or []
    states = [entity.state.deployment for entity in entities if entity.state]
    recovering = ServedModelStateDeployment.DEPLOYMENT_RECOVERING in states
    return recovering or update(found) is EndpointStateConfigUpdate.IN_PROGRESS


def update(found: ServingEndpointDetailed) -> EndpointStateConfigUpdate | None:
    """How its last update stands."""
    return found.state.config_update if found.state else None


def settled(found: ServingEndpointDetailed) -> bool:
    """Whether it answers, and by the last config that it was given."""
    ready = found.state is not None and found.state.ready is EndpointStateReady.READY
    return ready and update(found) is EndpointStateConfigUpdate.NOT_UPDATING


def state(found: ServingEndpointDetailed) -> EndpointState:
    """What it answers by."""
    config = found.config
    versions = {entity.name: int(entity.entity_version or 0) for entity in (config and config.served_entities) or []}
    routes = (config and config.traffic_config and config.traffic_config.routes) or []
    traffic = {
        versions[route.served_model_name or route.served_entity_name]: route.traffic_percentage for route in routes
    }
    return EndpointState(found.name or "", (config and config.config_version) or 0, traffic)


def size(found: ServingEndpointDetailed) -> dict[str, Any]:
    """What the first entity of an endpoint has been given to run on; `SIZE` where it says nothing of it."""
    entities = (found.config and found.config.served_entities) or []
    said = {name: getattr(entities[0], name) for name in KEPT} if entities else {}
    return {name: value for name, value in said.items() if value is not None} or SIZE


def models(found: ServingEndpointDetailed) -> list[str]:
    """Whose versions an endpoint serves, or is about to when it is new; one without a name is no registered model."""
    config = found.config or found.pending_config
    entities = (config and config.served_entities) or []
    return sorted({entity.entity_name or "an external model" for entity in entities})


def reasons(found: ServingEndpointDetailed) -> str:
    """What the server says of its entities, in one line."""
    config = found.pending_config or found.config
    entities = (config and config.served_entities) or []
    told = [
        f"{entity.name}: {entity.state.deployment_state_message}"
        for entity in entities
        if entity.state and entity.state.deployment_state_message
    ]
    return "; ".join(told) or "the server gives no reason"
