"""The state machine of an endpoint: pure transitions between frozen states, without loading, storing or routing.

create  -> pending -> (loaded) active | (failed) pending, with reasons
update  -> active + pending -> (loaded) pending becomes active | (failed) the old config stays active
restart -> active, recovering until its models are loaded again; an update in progress starts again
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.http.errors import ApiError

SHADOW = "shadow_served_entity"  # tag of an endpoint: served entity that gets copies of its requests


class ConfigUpdate(StrEnum):
    """State of the last config update (`state.config_update`)."""

    NOT_UPDATING = "NOT_UPDATING"
    IN_PROGRESS = "IN_PROGRESS"
    UPDATE_FAILED = "UPDATE_FAILED"


class DeploymentState(StrEnum):
    """State of a served entity (`served_entities[].state.deployment`)."""

    CREATING = "DEPLOYMENT_CREATING"
    RECOVERING = "DEPLOYMENT_RECOVERING"
    READY = "DEPLOYMENT_READY"
    FAILED = "DEPLOYMENT_FAILED"
    ABORTED = "DEPLOYMENT_ABORTED"


@dataclass(frozen=True)
class ServedEntity:
    """One model version behind an endpoint."""

    name: str
    entity_name: str
    entity_version: str
    workload_size: str = "Small"
    workload_type: str = "CPU"
    scale_to_zero_enabled: bool = False
    creation_timestamp: int = 0
    deployment: DeploymentState = DeploymentState.CREATING
    message: str = ""

    @property
    def model(self) -> tuple[str, str]:
        return self.entity_name, self.entity_version

    def ready(self) -> "ServedEntity":
        return replace(self, deployment=DeploymentState.READY, message="")


@dataclass(frozen=True)
class Route:
    """The percentage of an endpoint's requests that one served entity receives."""

    served_entity_name: str
    traffic_percentage: int


@dataclass(frozen=True)
class EndpointConfig:
    """Served entities and the routes between them; the percentages sum to 100."""

    version: int
    entities: tuple[ServedEntity, ...]
    routes: tuple[Route, ...]

    def entity(self, name: str) -> ServedEntity | None:
        return next((entity for entity in self.entities if entity.name == name), None)

    def starting(self, state: DeploymentState, now: int) -> "EndpointConfig":
        """The config before its entities are loaded. An entity keeps its first creation timestamp."""
        return replace(
            self,
            entities=tuple(
                replace(e, deployment=state, message="", creation_timestamp=e.creation_timestamp or now)
                for e in self.entities
            ),
        )

    def loaded(self) -> "EndpointConfig":
        return replace(self, entities=tuple(entity.ready() for entity in self.entities))

    def failed(self, reasons: Mapping[str, str], remaining: DeploymentState) -> "EndpointConfig":
        """The config after the entities in `reasons` failed; `remaining` is the new state of all other entities."""
        return replace(
            self,
            entities=tuple(
                replace(e, deployment=DeploymentState.FAILED, message=reasons[e.name])
                if e.name in reasons
                else replace(e, deployment=remaining, message="")
                for e in self.entities
            ),
        )


@dataclass(frozen=True)
class Endpoint:
    """A serving endpoint. Timestamps are milliseconds since 1970."""

    name: str
    id: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    active: EndpointConfig | None = None
    pending: EndpointConfig | None = None
    update: ConfigUpdate = ConfigUpdate.NOT_UPDATING
    update_started: int = 0
    inference_table: InferenceTable | None = None

    @property
    def ready(self) -> bool:
        """True if every active entity is loaded."""
        return self.active is not None and all(e.deployment is DeploymentState.READY for e in self.active.entities)

    @property
    def recovering(self) -> bool:
        """True while a restarted server is loading the active entities."""
        return self.active is not None and any(
            e.deployment is DeploymentState.RECOVERING for e in self.active.entities
        )

    @property
    def failed(self) -> bool:
        """True if a restarted server could not load every active entity."""
        return self.active is not None and any(e.deployment is DeploymentState.FAILED for e in self.active.entities)

    @property
    def entities(self) -> tuple[ServedEntity, ...]:
        """Served entities of the active and the pending config."""
        return tuple(entity for config in (self.active, self.pending) if config for entity in config.entities)

    @property
    def shadow(self) -> str | None:
        """Served entity that gets copies of the requests; None without one."""
        return dict(self.tags).get(SHADOW)

    def reason(self) -> str:
        """The reason why the endpoint is not ready, or why the last update failed."""
        return "; ".join(f"{entity.name}: {entity.message}" for entity in self.entities if entity.message)

    def updating(self, config: EndpointConfig, now: int) -> "Endpoint":
        """The endpoint with an update to `config` in progress.

        Raises:
            ApiError: an update is in progress, or the server is still loading the active config (409).
        """
        if self.update is ConfigUpdate.IN_PROGRESS or self.recovering:
            raise ApiError.update_in_progress(self.name)
        newest = max((known.version for known in (self.active, self.pending) if known), default=0)
        pending = replace(config, version=newest + 1).starting(DeploymentState.CREATING, now)
        return replace(
            self, pending=pending, update=ConfigUpdate.IN_PROGRESS, update_started=now, last_updated_timestamp=now
        )

    def updated(self) -> "Endpoint":
        """The endpoint after its pending config was loaded and became active."""
        return replace(self, active=self._in_progress().loaded(), pending=None, update=ConfigUpdate.NOT_UPDATING)

    def update_failed(self, reasons: Mapping[str, str]) -> "Endpoint":
        """The endpoint after its pending config failed to load. The active config stays; the reasons are kept."""
        pending = self._in_progress().failed(reasons, remaining=DeploymentState.ABORTED)
        return replace(self, pending=pending, update=ConfigUpdate.UPDATE_FAILED)

    def restarted(self, now: int) -> "Endpoint":
        """The endpoint at the start of a server, before anything is loaded."""
        pending = self.pending
        if pending and self.update is ConfigUpdate.IN_PROGRESS:
            pending = pending.starting(DeploymentState.CREATING, now)
        active = self.active and self.active.starting(DeploymentState.RECOVERING, now)
        return replace(self, active=active, pending=pending)

    def recovered(self, reasons: Mapping[str, str]) -> "Endpoint":
        """The endpoint after a restart loaded its active config, except the entities in `reasons`."""
        active = self.active and self.active.failed(reasons, remaining=DeploymentState.READY)
        return replace(self, active=active)

    def _in_progress(self) -> EndpointConfig:
        if self.pending is None or self.update is not ConfigUpdate.IN_PROGRESS:
            raise ValueError(f"the endpoint '{self.name}' has no update in progress: {self.update}")
        return self.pending


def choose(routes: tuple[Route, ...], point: float) -> str:
    """The served entity for a point in [0, 100): the routes divide this interval by their percentages.

    >>> choose((Route("m-1", 90), Route("m-2", 10)), 89.9), choose((Route("m-1", 90), Route("m-2", 10)), 90.0)
    ('m-1', 'm-2')
    """
    cumulative = 0
    for route in routes:
        cumulative += route.traffic_percentage
        if point < cumulative:
            return route.served_entity_name
    raise ValueError(f"{point} exceeds the {cumulative} per cent of the routes")
