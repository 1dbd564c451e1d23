"""State of an endpoint, read from a response of the serving API. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from databricks.sdk.service.serving import (
    EndpointStateConfigUpdate,
    EndpointStateReady,
    ServedModelStateDeployment,
    ServingEndpointDetailed,
)

from deployment.model_server.endpoints.ai_gateway import InferenceTable, default_prefix

SIZE = {"workload_size": "Small", "scale_to_zero_enabled": False}  # size of an endpoint that this project creates
# Settings of a served entity that an operator may have changed; an update must preserve them.
PRESERVED_SETTINGS = (
    "workload_size", "workload_type", "scale_to_zero_enabled", "min_provisioned_concurrency",
    "max_provisioned_concurrency", "burst_scaling_enabled", "environment_vars", "instance_profile_arn",
)  # fmt: skip


@dataclass(frozen=True)
class EndpointState:
    """A ready endpoint: its config version and the per cent of traffic by model version."""

    name: str
    config_version: int
    traffic: dict[int, int]

    def __str__(self) -> str:
        """Format for the console.

        >>> str(EndpointState("churn", 3, {2: 100}))
        'Endpoint churn serves version 2 (100 %)'
        """
        return f"Endpoint {self.name} serves {format_traffic(self.traffic)}"


@dataclass(frozen=True)
class Served:
    """Models behind an endpoint, and the per cent of traffic by version."""

    endpoint: str
    models: tuple[str, ...]
    traffic: dict[int, int]

    def difference(self, model: str, champion: int | None) -> str:
        """Difference from the champion of a model; empty if it gets traffic, or there is none, or no model yet.

        >>> Served("churn", ("churn",), {2: 100}).difference("churn", 4)
        "the endpoint 'churn' serves version 2 (100 %), but the champion is version 4"
        >>> Served("churn", ("churn",), {2: 90, 4: 10}).difference("churn", 4)
        ''
        >>> Served("churn", ("wine",), {4: 100}).difference("churn", 4)
        "the endpoint 'churn' serves the model wine, not churn"
        """
        if self.models not in {(model,), ()}:
            return f"the endpoint '{self.endpoint}' serves the model {', '.join(self.models)}, not {model}"
        if champion is None or not self.traffic or self.traffic.get(champion):
            return ""
        return (
            f"the endpoint '{self.endpoint}' serves {format_traffic(self.traffic)},"
            f" but the champion is version {champion}"
        )


def format_traffic(traffic: Mapping[int, int]) -> str:
    """Format versions with their per cent of traffic.

    >>> format_traffic({2: 90, 4: 10})
    'version 2 (90 %), version 4 (10 %)'
    """
    return ", ".join(f"version {version} ({share} %)" for version, share in traffic.items())


def is_updating(endpoint: ServingEndpointDetailed) -> bool:
    """True during an update, or while the endpoint recovers after a server start.

    A version that recovers beside a ready one has crashed by itself, and must not delay the update that removes it.
    """
    entities = (endpoint.config and endpoint.config.served_entities) or []
    states = [entity.state.deployment for entity in entities if entity.state]
    recovering = ServedModelStateDeployment.DEPLOYMENT_RECOVERING in states
    restarting = recovering and ServedModelStateDeployment.DEPLOYMENT_READY not in states
    return restarting or update(endpoint) is EndpointStateConfigUpdate.IN_PROGRESS


def not_loaded(endpoint: ServingEndpointDetailed, version: int) -> str:
    """Reason why a served version cannot answer while another one can; empty if it can, or none of them can.

    A server that restarts loads all versions again. A version that is not ready beside a ready one has failed itself.
    """
    if update(endpoint) is EndpointStateConfigUpdate.IN_PROGRESS:
        return ""
    entities = (endpoint.config and endpoint.config.served_entities) or []
    states = {int(entity.entity_version or 0): entity.state for entity in entities if entity.state}
    own, deployed = states.get(version), {each: state.deployment for each, state in states.items()}
    ready, failed = ServedModelStateDeployment.DEPLOYMENT_READY, ServedModelStateDeployment.DEPLOYMENT_FAILED
    if own is None or own.deployment in {None, ready} or not (own.deployment is failed or ready in deployed.values()):
        return ""
    return own.deployment_state_message or str(own.deployment and own.deployment.value)


def update(endpoint: ServingEndpointDetailed) -> EndpointStateConfigUpdate | None:
    """State of the last update."""
    return endpoint.state.config_update if endpoint.state else None


def is_ready(endpoint: ServingEndpointDetailed) -> bool:
    """True if the endpoint is ready with its latest config."""
    ready = endpoint.state is not None and endpoint.state.ready is EndpointStateReady.READY
    return ready and update(endpoint) is EndpointStateConfigUpdate.NOT_UPDATING


def state(endpoint: ServingEndpointDetailed) -> EndpointState:
    """Extract name, config version and traffic."""
    config = endpoint.config
    versions = {entity.name: int(entity.entity_version or 0) for entity in (config and config.served_entities) or []}
    routes = (config and config.traffic_config and config.traffic_config.routes) or []
    traffic = {
        versions[route.served_model_name or route.served_entity_name]: route.traffic_percentage for route in routes
    }
    return EndpointState(endpoint.name or "", (config and config.config_version) or 0, traffic)


def served(endpoint: ServingEndpointDetailed) -> Served:
    """Extract models and traffic."""
    return Served(endpoint.name or "", tuple(served_models(endpoint)), state(endpoint).traffic)


def size(endpoint: ServingEndpointDetailed) -> dict[str, Any]:
    """Compute settings of the first served entity; `SIZE` if it has none."""
    entities = (endpoint.config and endpoint.config.served_entities) or []
    current = {name: getattr(entities[0], name) for name in PRESERVED_SETTINGS} if entities else {}
    return {name: value for name, value in current.items() if value is not None} or SIZE


def served_models(endpoint: ServingEndpointDetailed) -> list[str]:
    """Models behind an endpoint, or pending on a new one; an entity without a name is an external model."""
    configs = (endpoint.config, endpoint.pending_config)
    entities = next((config.served_entities for config in configs if config and config.served_entities), [])
    return sorted({entity.entity_name or "an external model" for entity in entities})


def reasons(endpoint: ServingEndpointDetailed) -> str:
    """State messages of the served entities, in one line."""
    config = endpoint.pending_config or endpoint.config
    entities = (config and config.served_entities) or []
    messages = [
        f"{entity.name}: {entity.state.deployment_state_message}"
        for entity in entities
        if entity.state and entity.state.deployment_state_message
    ]
    return "; ".join(messages) or "the server gives no reason"


def inference_table(endpoint: ServingEndpointDetailed | None, name: str) -> InferenceTable | None:
    """The table of an endpoint's requests, whether its log is on or off; None if none was ever configured.

    Args:
        name: that of the endpoint, after which the table is named by default.
    """
    gateway = None if endpoint is None else endpoint.ai_gateway
    config = None if gateway is None else gateway.inference_table_config
    if config is None:
        return None
    prefix = config.table_name_prefix or default_prefix(name)
    return InferenceTable(config.catalog_name or "", config.schema_name or "", prefix, bool(config.enabled))
