"""An endpoint and its life: pure transitions between frozen states. Who loads, stores and routes is elsewhere.

create -> pending -> (loaded) active | (failed) pending with reasons
update -> active + pending -> (loaded) the pending one is active | (failed) the old one stays active
restart -> active, to be loaded again, until it is; a pending update that was under way is taken up again
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.http.errors import ApiError


class Update(StrEnum):
    """What became of the last update (`state.config_update`)."""

    NOT_UPDATING = "NOT_UPDATING"
    IN_PROGRESS = "IN_PROGRESS"
    UPDATE_FAILED = "UPDATE_FAILED"


class Deployment(StrEnum):
    """Whether a served entity answers (`served_entities[].state.deployment`)."""

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
    deployment: Deployment = Deployment.CREATING
    message: str = ""

    @property
    def model(self) -> tuple[str, str]:
        return self.entity_name, self.entity_version

    def ready(self) -> "ServedEntity":
        return replace(self, deployment=Deployment.READY, message="")


@dataclass(frozen=True)
class Route:
    """The share of an endpoint's requests, in per cent, that one served entity answers."""

    served_entity_name: str
    traffic_percentage: int


@dataclass(frozen=True)
class EndpointConfig:
    """Served entities and the traffic between them; the percentages sum to 100."""

    version: int
    entities: tuple[ServedEntity, ...]
    routes: tuple[Route, ...]

    def entity(self, name: str) -> ServedEntity | None:
        return next((entity for entity in self.entities if entity.name == name), None)

    def starting(self, state: Deployment, now: int) -> "EndpointConfig":
        """All entities about to be loaded; an entity keeps the time at which it was first asked for."""
        return replace(
            self,
            entities=tuple(
                replace(e, deployment=state, message="", creation_timestamp=e.creation_timestamp or now)
                for e in self.entities
            ),
        )

    def loaded(self) -> "EndpointConfig":
        return replace(self, entities=tuple(entity.ready() for entity in self.entities))

    def failed(self, reasons: Mapping[str, str], others: Deployment) -> "EndpointConfig":
        """The entities named in `reasons` failed; `others` is what became of the rest."""
        return replace(
            self,
            entities=tuple(
                replace(e, deployment=Deployment.FAILED, message=reasons[e.name])
                if e.name in reasons
                else replace(e, deployment=others, message="")
                for e in self.entities
            ),
        )


@dataclass(frozen=True)
class Endpoint:
    """A name that answers; times are milliseconds since 1970."""

    name: str
    id: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    active: EndpointConfig | None = None
    pending: EndpointConfig | None = None
    update: Update = Update.NOT_UPDATING
    update_started: int = 0
    inference_table: InferenceTable | None = None

    @property
    def ready(self) -> bool:
        """Every active entity answers."""
        return self.active is not None and all(e.deployment is Deployment.READY for e in self.active.entities)

    @property
    def recovering(self) -> bool:
        """A restarted server has not loaded every active entity yet."""
        return self.active is not None and any(e.deployment is Deployment.RECOVERING for e in self.active.entities)

    @property
    def failed(self) -> bool:
        """A restarted server could not load every active entity."""
        return self.active is not None and any(e.deployment is Deployment.FAILED for e in self.active.entities)

    @property
    def entities(self) -> tuple[ServedEntity, ...]:
        """Those that are served, and those that are to be."""
        return tuple(entity for config in (self.active, self.pending) if config for entity in config.entities)

    def reason(self) -> str:
        """Why it does not answer, or why the last update failed."""
        return "; ".join(f"{entity.name}: {entity.message}" for entity in self.entities if entity.message)

    def updating(self, config: EndpointConfig, now: int) -> "Endpoint":
        """Begin to move to another config.

        Raises:
            ApiError: an update is in progress, or the server is still loading the active config (409).
        """
        if self.update is Update.IN_PROGRESS or self.recovering:
            raise ApiError.update_in_progress(self.name)
        newest = max((known.version for known in (self.active, self.pending) if known), default=0)
        pending = replace(config, version=newest + 1).starting(Deployment.CREATING, now)
        return replace(
            self, pending=pending, update=Update.IN_PROGRESS, update_started=now, last_updated_timestamp=now
        )

    def updated(self) -> "Endpoint":
        """The pending config is loaded: it is the active one."""
        return replace(self, active=self._to_load().loaded(), pending=None, update=Update.NOT_UPDATING)

    def update_failed(self, reasons: Mapping[str, str]) -> "Endpoint":
        """The pending config cannot be loaded: what was active stays so, and the reasons stay readable."""
        pending = self._to_load().failed(reasons, others=Deployment.ABORTED)
        return replace(self, pending=pending, update=Update.UPDATE_FAILED)

    def restarted(self, now: int) -> "Endpoint":
        """As it stands when a server starts: nothing is loaded."""
        pending = self.pending
        if pending and self.update is Update.IN_PROGRESS:
            pending = pending.starting(Deployment.CREATING, now)
        active = self.active and self.active.starting(Deployment.RECOVERING, now)
        return replace(self, active=active, pending=pending)

    def recovered(self, reasons: Mapping[str, str]) -> "Endpoint":
        """The active config is loaded again, but for the entities that `reasons` names."""
        active = self.active and self.active.failed(reasons, others=Deployment.READY)
        return replace(self, active=active)

    def _to_load(self) -> EndpointConfig:
        if self.pending is None or self.update is not Update.IN_PROGRESS:
            raise ValueError(f"the endpoint '{self.name}' has no update in progress: {self.update}")
        return self.pending


def choose(routes: tuple[Route, ...], point: float) -> str:
    """The served entity at a point of [0, 100) on the line that the percentages divide.

    >>> choose((Route("m-1", 90), Route("m-2", 10)), 89.9), choose((Route("m-1", 90), Route("m-2", 10)), 90.0)
    ('m-1', 'm-2')
    """
    reached = 0
    for route in routes:
        reached += route.traffic_percentage
        if point < reached:
            return route.served_entity_name
    raise ValueError(f"{point} is beyond the {reached} per cent of the routes")
