"""JSON representation of endpoints, as in the Databricks serving API."""

from typing import Any

from deployment.model_server.endpoints.ai_gateway import ai_gateway_json
from deployment.model_server.endpoints.endpoint import Endpoint, EndpointConfig, ServedEntity


def detailed(endpoint: Endpoint, level: str) -> dict[str, Any]:
    """The response of get, create and update; `level` is the permission level of the caller."""
    return _common(endpoint) | {
        "config": _config(endpoint.active) if endpoint.active else {},
        **({"pending_config": _pending(endpoint, endpoint.pending)} if endpoint.pending else {}),
        "permission_level": level,
        "route_optimized": False,
    }


def summary(endpoint: Endpoint) -> dict[str, Any]:
    """The entry of an endpoint in the response of list."""
    fields = ("name", "entity_name", "entity_version")
    served = (endpoint.active or endpoint.pending or EndpointConfig(0, (), ())).entities
    entities = [{field: getattr(entity, field) for field in fields} for entity in served]
    return _common(endpoint) | {"config": {"served_entities": entities}}


def _common(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "id": endpoint.id,
        "creation_timestamp": endpoint.creation_timestamp,
        "last_updated_timestamp": endpoint.last_updated_timestamp,
        "description": endpoint.description,
        **({"ai_gateway": ai_gateway_json(endpoint.inference_table)} if endpoint.inference_table else {}),
        "tags": [{"key": key, "value": value} for key, value in endpoint.tags],
        "state": {"ready": "READY" if endpoint.ready else "NOT_READY", "config_update": endpoint.update},
    }


def _pending(endpoint: Endpoint, config: EndpointConfig) -> dict[str, Any]:
    return _config(config) | {"start_time": endpoint.update_started}


def _config(config: EndpointConfig) -> dict[str, Any]:
    return {
        "config_version": config.version,
        "served_entities": [_entity(entity) for entity in config.entities],
        "traffic_config": {
            "routes": [
                {
                    "served_entity_name": route.served_entity_name,
                    "served_model_name": route.served_entity_name,
                    "traffic_percentage": route.traffic_percentage,
                }
                for route in config.routes
            ]
        },
    }


def _entity(entity: ServedEntity) -> dict[str, Any]:
    return {
        "name": entity.name,
        "entity_name": entity.entity_name,
        "entity_version": entity.entity_version,
        "workload_size": entity.workload_size,
        "workload_type": entity.workload_type,
        "scale_to_zero_enabled": entity.scale_to_zero_enabled,
        "creation_timestamp": entity.creation_timestamp,
        "state": {"deployment": entity.deployment, "deployment_state_message": entity.message},
    }
