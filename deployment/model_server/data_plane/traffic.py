"""Traffic of an endpoint: its loaded models, and the share of requests that each one receives."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from deployment.model_server.endpoints.endpoint import EndpointConfig, Route
from deployment.model_server.http.record_decoder import RecordDecoder
from deployment.model_server.models.contract_model import LoadedModel
from deployment.model_server.request_log.payload_table import NO_RULE, LogRule

LoadedModels = Mapping[str, LoadedModel]


@dataclass(frozen=True)
class Traffic:
    """Loaded models and their versions by the name of the served entity, the routes between them, and the shadow."""

    models: LoadedModels
    routes: tuple[Route, ...]
    versions: Mapping[str, str]
    shadow: str | None = None

    @classmethod
    def of(cls, config: EndpointConfig, models: LoadedModels, shadow: str | None = None) -> "Traffic":
        """Traffic of a config. Entities that are not loaded receive no requests."""
        routes = tuple(route for route in config.routes if route.served_entity_name in models)
        return cls(models, routes, {entity.name: entity.entity_version for entity in config.entities}, shadow)

    @cached_property
    def log_rule(self) -> LogRule:
        """The rule of the request log that satisfies every loaded version."""
        return LogRule.strictest(getattr(model, "log_rule", NO_RULE) for model in self.models.values())

    @cached_property
    def decoder(self) -> RecordDecoder | None:
        """The decoder of a loaded version, for large requests; any serves to learn which version answers."""
        decoders = (getattr(model, "decoder", None) for model in self.models.values())
        return next((decoder for decoder in decoders if decoder), None)

    @property
    def share(self) -> int:
        """Percentage of the config's traffic that its loaded entities cover."""
        return sum(route.traffic_percentage for route in self.routes)
