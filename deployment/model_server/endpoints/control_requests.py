"""Bodies of control requests, validated against the Databricks API and the features of this server."""

import re
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from deployment.model_server.endpoints.ai_gateway import InferenceTable, default_prefix
from deployment.model_server.endpoints.endpoint import EndpointConfig, Route, ServedEntity
from deployment.model_server.http.errors import ApiError

NOT_SUPPORTED = frozenset(
    {
        "auto_capture_config", "budget_policy_id", "burst_scaling_enabled", "email_notifications",
        "environment_vars", "external_model", "fallback_config", "guardrails", "instance_profile_arn",
        "max_provisioned_concurrency", "max_provisioned_throughput", "min_provisioned_concurrency",
        "min_provisioned_throughput", "provisioned_model_units", "rate_limits", "route_optimized",
        "usage_tracking_config",
    }
)  # fmt: skip
"""Fields of the Databricks API without a meaning here. They are refused when set: callers must not rely on them."""

SIZES = ("Small", "Medium", "Large")
GPUS = ("GPU_SMALL", "GPU_MEDIUM", "GPU_LARGE", "GPU_XLARGE", "MULTIGPU_MEDIUM")


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", text):
        raise ValueError("a name has 1 to 63 letters, digits, dashes and underscores")
    return text


def _version(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
        raise ValueError("a version is a number from 1 as text, such as '3'; resolve an alias before the request")
    return text


def _identifier(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]{1,255}", text):
        raise ValueError("each part of a table name has only letters, digits and underscores")
    return text


def _model(text: str) -> str:
    # Only registered names: no characters that an MLflow URI reads as a path, a run or an alias.
    if not re.fullmatch(r"[^/:@%\x00-\x1f]{1,255}", text):
        raise ValueError("give the registered model name, without '/', ':', '@' and '%'")
    return text


def _size(text: str) -> str:
    if text not in SIZES:
        raise ValueError(f"must be one of {', '.join(SIZES)}, not '{text[:40]}'")
    return text


def _type(text: str) -> str:
    if text in GPUS:
        raise ValueError(f"this server has no GPU: {text} is not available, use CPU")
    if text != "CPU":
        raise ValueError(f"must be CPU, not '{text[:40]}'")
    return text


Name = Annotated[str, AfterValidator(_name)]
ModelName = Annotated[str, AfterValidator(_model)]
Identifier = Annotated[str, AfterValidator(_identifier)]
VersionNumber = Annotated[str, AfterValidator(_version)]
Size = Annotated[str, AfterValidator(_size)]
Type = Annotated[str, AfterValidator(_type)]


class _Body(BaseModel):
    """Base of all bodies: strict types, no unknown fields; unset fields of the API are ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        unsupported = sorted(field for field in NOT_SUPPORTED & values.keys() if values[field])
        if unsupported:
            raise ValueError(f"not supported by this server: {', '.join(unsupported)}")
        return {k: v for k, v in values.items() if k not in NOT_SUPPORTED and v is not None}


BodyT = TypeVar("BodyT", bound=_Body)


class Tag(_Body):
    """A tag with an optional value."""

    key: str = Field(min_length=1, max_length=127)
    value: str = Field(default="", max_length=255)


class EntityInput(_Body):
    """One model version to serve."""

    entity_name: ModelName
    entity_version: VersionNumber
    name: Name | None = None
    workload_size: Size = "Small"
    workload_type: Type = "CPU"
    scale_to_zero_enabled: bool = False

    @model_validator(mode="before")
    @classmethod
    def _accept_older_names(cls, values: Any) -> Any:
        # Clients still send the older `served_models`, with these names.
        older_names = {"model_name": "entity_name", "model_version": "entity_version"}
        return {older_names.get(k, k): v for k, v in values.items()} if isinstance(values, dict) else values

    def entity(self) -> ServedEntity:
        default = re.sub(r"[^A-Za-z0-9_-]", "-", f"{self.entity_name.rpartition('.')[2]}-{self.entity_version}")
        values = self.model_dump() | {"name": self.name or default[-63:]}
        return ServedEntity(**values)


class RouteInput(_Body):
    """The traffic of one served entity."""

    traffic_percentage: int = Field(ge=0, le=100)
    served_entity_name: str | None = None
    served_model_name: str | None = None

    @model_validator(mode="after")
    def _names_one_entity(self) -> Self:
        names = {self.served_entity_name, self.served_model_name} - {None}
        if len(names) != 1:
            raise ValueError("a route needs exactly one served_entity_name")
        return self

    def route(self) -> Route:
        return Route(self.served_entity_name or self.served_model_name or "", self.traffic_percentage)


class TrafficInput(_Body):
    """The traffic between served entities."""

    routes: list[RouteInput] = Field(min_length=1)


class ConfigInput(_Body):
    """Body of `PUT .../config`; it may repeat the name of the endpoint."""

    name: str | None = None
    served_entities: list[EntityInput] = Field(default=[], max_length=15)
    served_models: list[EntityInput] = Field(default=[], max_length=15)
    traffic_config: TrafficInput | None = None

    def config(self, current: EndpointConfig | None = None) -> EndpointConfig:
        """The requested config. Without entities it keeps those of `current`.

        Raises:
            ApiError: no entity, a duplicate name, or inconsistent traffic (400).
        """
        entities = tuple(each.entity() for each in [*self.served_entities, *self.served_models])
        if not entities and self.traffic_config and current:
            entities = current.entities
        if not entities:
            raise ApiError.invalid("served_entities: name at least one model version to serve")
        return EndpointConfig(0, entities, _routes(entities, self.traffic_config))


class InferenceTableInput(_Body):
    """Table for requests and responses. The default prefix is the name of the endpoint."""

    enabled: bool = False
    catalog_name: Identifier = "main"
    schema_name: Identifier = "default"
    table_name_prefix: Identifier | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_its_schema(cls, values: Any) -> Any:
        enabled = isinstance(values, dict) and values.get("enabled") is True
        missing = [field for field in ("catalog_name", "schema_name") if enabled and not values.get(field)]
        if missing:
            raise ValueError(f"an enabled inference table needs {' and '.join(missing)}")
        return values


class AiGatewayInput(_Body):
    """Body of `PUT .../ai-gateway`. It replaces the config: a missing part is removed."""

    inference_table_config: InferenceTableInput | None = None

    def inference_table(self, endpoint: str) -> InferenceTable | None:
        """The requested inference table, if any."""
        table = self.inference_table_config
        if table is None:
            return None
        prefix = table.table_name_prefix or default_prefix(endpoint)
        return InferenceTable(table.catalog_name, table.schema_name, prefix, table.enabled)


class CreateInput(_Body):
    """Body of `POST /api/2.0/serving-endpoints`."""

    name: Name
    config: ConfigInput
    description: str = ""
    tags: list[Tag] = Field(default=[], max_length=100)
    ai_gateway: AiGatewayInput = AiGatewayInput()


class TagsInput(_Body):
    """Body of `PATCH .../tags`."""

    add_tags: list[Tag] = Field(default=[], max_length=100)
    delete_tags: list[str] = []


def _routes(entities: tuple[ServedEntity, ...], traffic: TrafficInput | None) -> tuple[Route, ...]:
    names = [entity.name for entity in entities]
    if len(set(names)) < len(names):
        raise ApiError.invalid(f"served_entities: a name is used twice: {', '.join(names)}")
    if traffic is None and len(names) == 1:
        return (Route(names[0], 100),)
    if traffic is None:
        raise ApiError.invalid(f"traffic_config: set the traffic percentages of {', '.join(names)}")
    routes = tuple(each.route() for each in traffic.routes)
    routed = [route.served_entity_name for route in routes]
    if unknown := [name for name in routed if name not in names]:
        raise ApiError.invalid(
            f"traffic_config: no served entity is named {', '.join(unknown)}; known names: {', '.join(names)}"
        )
    if len(set(routed)) < len(routed):
        raise ApiError.invalid(f"traffic_config: a served entity has two routes: {', '.join(routed)}")
    if (total := sum(route.traffic_percentage for route in routes)) != 100:
        raise ApiError.invalid(f"traffic_config: the percentages sum to {total}, not 100")
    return routes


def parse(body_type: type[BodyT], values: Any) -> BodyT:
    """Validate a JSON value as a body.

    Raises:
        ApiError: the first wrong field with its path (400).
    """
    try:
        return body_type.model_validate(values)
    except ValidationError as err:
        first = err.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ApiError.invalid(f"{path}: {message}" if path else message) from err
