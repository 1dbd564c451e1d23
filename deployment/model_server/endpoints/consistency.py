"""Consistency of stored endpoints: what the types of a state file cannot express."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from deployment.model_server.endpoints.control_requests import CreateInput, InferenceTableInput
from deployment.model_server.endpoints.endpoint import ConfigUpdate, Endpoint, EndpointConfig


def inconsistency(endpoints: Mapping[str, Endpoint]) -> str:
    """The first contradiction in stored endpoints, with its endpoint; empty if there is none."""
    if twice := _repeated(endpoint.id for endpoint in endpoints.values()):
        return f"two endpoints have the id {twice[0]}"
    return next((f"'{key}' {reason}" for key, endpoint in endpoints.items() for reason in _of(key, endpoint)), "")


def _of(key: str, endpoint: Endpoint) -> Iterator[str]:
    if endpoint.name != key:
        yield f"holds an endpoint with the name '{endpoint.name}'"
    configs = [config for config in (endpoint.active, endpoint.pending) if config]
    if not configs:
        yield "has no config"
    if (endpoint.pending is None) != (endpoint.update is ConfigUpdate.NOT_UPDATING):
        yield f"is {endpoint.update} with{'' if endpoint.pending else 'out'} a pending config"
    for config in configs:
        yield from _of_config(config)
    try:
        _check_names(endpoint)
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        place, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        yield f"has {place} {first['input']!r}: {message}"


def _of_config(config: EndpointConfig) -> Iterator[str]:
    known = [entity.name for entity in config.entities]
    routed = [route.served_entity_name for route in config.routes]
    where = f"in config {config.version}"
    if not known:
        yield f"serves nothing {where}"
    if twice := _repeated(known):
        yield f"serves two entities with the name {twice[0]} {where}"
    if unknown := [name for name in routed if name not in known]:
        yield f"has a route to {', '.join(unknown)}, but serves {', '.join(known)}"
    if twice := _repeated(routed):
        yield f"has two routes to {twice[0]} {where}"
    shares = [route.traffic_percentage for route in config.routes]
    if sum(shares) != 100 or min(shares) < 0:
        yield f"has traffic percentages {', '.join(map(str, shares))} {where}, which sum to {sum(shares)}, not 100"


def _check_names(endpoint: Endpoint) -> None:
    """Check every name as if it were in a control request.

    Raises:
        ValidationError: the first wrong name.
    """
    entities = [
        {"entity_name": entity.entity_name, "entity_version": entity.entity_version, "name": entity.name}
        for entity in endpoint.entities
    ]
    for entity in entities:
        CreateInput.model_validate({"name": endpoint.name, "config": {"served_entities": [entity]}})
    if table := endpoint.inference_table:
        InferenceTableInput(
            catalog_name=table.catalog_name,
            schema_name=table.schema_name,
            table_name_prefix=table.table_name_prefix,
            enabled=table.enabled,
        )


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
