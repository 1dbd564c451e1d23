"""The endpoints of a server and the models behind them: the one writer of both.

All methods run on the event loop. Models load in threads, one after the other (importing a model's code is not
thread-safe), and requests keep going to the old traffic until the new one takes its place in one
assignment.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from deployment.model_server.data_plane.threads import in_daemon_thread
from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.endpoints.control_requests import ConfigInput, CreateInput, TagsInput
from deployment.model_server.endpoints.endpoint import (
    Deployment,
    Endpoint,
    EndpointConfig,
    Route,
    ServedEntity,
    Update,
)
from deployment.model_server.endpoints.store import EndpointStore
from deployment.model_server.http.errors import ApiError
from deployment.model_server.models.loader import Load, LoadedModel, ModelNotLoaded
from deployment.model_server.request_log.payload_table import NO_RULE, LogRule

LOG = logging.getLogger(__name__)
PAUSE, LONGEST_PAUSE = 10.0, 300.0  # seconds until what was served before is loaded once more
Loaded = Mapping[str, LoadedModel]


@dataclass(frozen=True)
class Traffic:
    """What answers an endpoint's requests: loaded models by the name of their served entity, and the split."""

    models: Loaded
    routes: tuple[Route, ...]

    @classmethod
    def of(cls, config: EndpointConfig, loaded: Loaded) -> "Traffic":
        """Only what is loaded gets requests."""
        return cls(loaded, tuple(route for route in config.routes if route.served_entity_name in loaded))

    @cached_property
    def log_rule(self) -> LogRule:
        """What may be logged of it: the least that any of its versions lets be."""
        return LogRule.strictest(getattr(model, "log_rule", NO_RULE) for model in self.models.values())

    @property
    def share(self) -> int:
        """The per cent of the config that its loaded entities stand for."""
        return sum(route.traffic_percentage for route in self.routes)


class Fleet:
    """Creates, updates, restores and deletes endpoints."""

    def __init__(self, store: EndpointStore, load: Load, now: Callable[[], float], pause: float = PAUSE) -> None:
        """What is not loaded again after a restart is tried again after `pause` seconds, then after longer ones."""
        self._store = store
        self._load = load
        self._now = now
        self._pause = pause
        self._endpoints: dict[str, Endpoint] = {}
        self._traffic: dict[str, Traffic] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._writing = asyncio.Lock()
        self._loading = asyncio.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._endpoints

    @property
    def recovering(self) -> bool:
        """Whether some endpoint of an earlier server is still loaded again."""
        return any(endpoint.recovering for endpoint in self._endpoints.values())

    @property
    def failed(self) -> bool:
        """Whether something that an earlier server answered with could not be loaded again."""
        return any(endpoint.failed for endpoint in self._endpoints.values())

    def names(self) -> list[str]:
        return sorted(self._endpoints)

    def get(self, name: str) -> Endpoint:
        """One endpoint.

        Raises:
            ApiError: there is none of that name (404).
        """
        if name not in self._endpoints:
            raise ApiError.unknown_endpoint(name, self.names())
        return self._endpoints[name]

    def inference_table(self, name: str) -> InferenceTable | None:
        """Where an endpoint's requests are logged, if they are."""
        endpoint = self._endpoints.get(name)
        table = endpoint.inference_table if endpoint else None
        return table if table and table.enabled else None

    def tables(self) -> set[InferenceTable]:
        """All tables that requests are logged to; any thread may ask."""
        tables = (endpoint.inference_table for endpoint in self._endpoints.values())
        return {table for table in tables if table and table.enabled}

    def traffic(self, name: str) -> Traffic:
        """What answers an endpoint's requests now.

        Raises:
            ApiError: unknown (404), still loading or not loaded again after a restart (503), or never loaded (400).
        """
        traffic = self._traffic.get(name)
        if traffic and traffic.share:
            return traffic
        endpoint = self.get(name)
        if endpoint.update is Update.IN_PROGRESS or endpoint.recovering:
            raise ApiError.loading(name)
        if endpoint.failed:
            raise ApiError.not_recovered(name, endpoint.reason())
        raise ApiError.not_loaded(name, endpoint.reason())

    def unserved(self, name: str, entity: str) -> ApiError:
        """Why no loaded model of an endpoint has this name."""
        active = self.get(name).active
        found = active and active.entity(entity)
        if found and found.deployment is Deployment.FAILED:
            return ApiError.not_recovered(name, f"{entity}: {found.message}")
        return ApiError.unknown_served_entity(name, entity, [each.name for each in active.entities] if active else [])

    async def create(self, asked: CreateInput) -> Endpoint:
        """Begin to serve a new endpoint.

        Raises:
            ApiError: the name is taken (409), or the config does not add up (400).
        """
        tags = tuple(sorted({tag.key: tag.value for tag in asked.tags}.items()))
        async with self._writing:
            if asked.name in self._endpoints:
                raise ApiError.endpoint_exists(asked.name)
            now = self._millis()
            table = asked.ai_gateway.inference_table(asked.name)
            endpoint = Endpoint(
                asked.name, uuid.uuid4().hex, now, now, asked.description, tags, inference_table=table
            ).updating(asked.config.config(), now)
            await self._keep(endpoint)
        self._start(endpoint)
        return endpoint

    async def update(self, name: str, asked: ConfigInput) -> Endpoint:
        """Begin to move an endpoint to another config.

        Raises:
            ApiError: unknown (404), an update is in progress (409), or the config does not add up (400).
        """
        async with self._writing:
            endpoint = self.get(name)
            endpoint = endpoint.updating(asked.config(endpoint.active), self._millis())
            await self._keep(endpoint)
        self._start(endpoint)
        return endpoint

    async def tag(self, name: str, asked: TagsInput) -> Endpoint:
        """Add and delete tags."""
        async with self._writing:
            endpoint = self.get(name)
            tags = {key: value for key, value in endpoint.tags if key not in asked.delete_tags}
            tags |= {tag.key: tag.value for tag in asked.add_tags}
            endpoint = replace(endpoint, tags=tuple(sorted(tags.items())), last_updated_timestamp=self._millis())
            await self._keep(endpoint)
        return endpoint

    async def log_to(self, name: str, table: InferenceTable | None) -> Endpoint:
        """Say where an endpoint's requests are logged; None: nowhere."""
        async with self._writing:
            endpoint = replace(self.get(name), inference_table=table, last_updated_timestamp=self._millis())
            await self._keep(endpoint)
        return endpoint

    async def delete(self, name: str) -> None:
        """Stop serving an endpoint and forget it."""
        async with self._writing:
            self.get(name)
            rest = {known: endpoint for known, endpoint in self._endpoints.items() if known != name}
            await asyncio.to_thread(self._store.write, rest)
            self._endpoints = rest
            self._traffic.pop(name, None)
            if task := self._tasks.pop(name, None):
                task.cancel()

    def restore(self, stored: Mapping[str, Endpoint]) -> None:
        """Take up the endpoints of an earlier server; they load while this one answers already."""
        now = self._millis()
        self._endpoints = {name: endpoint.restarted(now) for name, endpoint in stored.items()}
        for endpoint in self._endpoints.values():
            self._start(endpoint)

    async def close(self) -> None:
        """Stop loading; what is stored stays."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, endpoint: Endpoint) -> None:
        task = asyncio.create_task(self._settle(endpoint), name=f"load {endpoint.name}")
        task.add_done_callback(_tell)
        self._tasks[endpoint.name] = task

    async def _settle(self, endpoint: Endpoint) -> None:
        """Load what is active and not loaded (after a restart), then what is pending; then the former until it is."""
        if endpoint.active and endpoint.recovering:
            await self._recover(endpoint.name)
        if endpoint.pending and endpoint.update is Update.IN_PROGRESS:
            loaded, reasons = await self._load_all(endpoint.name, endpoint.pending)
            if reasons:
                await self._arrive(endpoint.name, lambda known: known.update_failed(reasons), None)
            else:
                await self._arrive(endpoint.name, Endpoint.updated, loaded)
        pause = self._pause
        while not self._superseded(endpoint.name) and self.get(endpoint.name).failed:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._recover(endpoint.name)

    async def _recover(self, name: str) -> None:
        active = None if self._superseded(name) else self.get(name).active
        if active is not None:
            loaded, reasons = await self._load_all(name, active)
            await self._arrive(name, lambda known: known.recovered(reasons), loaded)

    def _superseded(self, name: str) -> bool:
        """Whether the endpoint was deleted, or updated, since this task began; a load cannot be interrupted."""
        return self._tasks.get(name) is not asyncio.current_task()

    async def _load_all(self, name: str, config: EndpointConfig) -> tuple[dict[str, LoadedModel], dict[str, str]]:
        loaded: dict[str, LoadedModel] = {}
        reasons: dict[str, str] = {}
        for entity in config.entities:
            try:
                loaded[entity.name] = self._at_hand(name, entity) or await self._load_one(entity)
            except ModelNotLoaded as err:
                reasons[entity.name] = str(err)
        return loaded, reasons

    async def _load_one(self, entity: ServedEntity) -> LoadedModel:
        async with self._loading:
            return await in_daemon_thread(lambda: self._load(*entity.model))

    def _at_hand(self, name: str, entity: ServedEntity) -> LoadedModel | None:
        """The same version, as the endpoint serves it already."""
        endpoint = self._endpoints.get(name)
        active = endpoint and endpoint.active
        served = self._traffic.get(name)
        if active is None or served is None:
            return None
        same = (known.name for known in active.entities if known.model == entity.model)
        return next((served.models[known] for known in same if known in served.models), None)

    async def _arrive(self, name: str, become: Callable[[Endpoint], Endpoint], loaded: Loaded | None) -> None:
        async with self._writing:
            if self._superseded(name):
                return
            endpoint = become(self.get(name))
            await self._keep(endpoint, anyway=True)
            if loaded is not None and endpoint.active:
                self._traffic[name] = Traffic.of(endpoint.active, loaded)
        LOG.info("endpoint %s: %s, %s", name, "ready" if endpoint.ready else "not ready", endpoint.update)

    async def _keep(self, endpoint: Endpoint, *, anyway: bool = False) -> None:
        """Store an endpoint, and go by it from now on; `anyway`: also where the disk does not take it."""
        known = self._endpoints | {endpoint.name: endpoint}
        try:
            await asyncio.to_thread(self._store.write, known)
        except OSError:
            if not anyway:
                raise
            LOG.exception("endpoint %s cannot be stored: a restart would go by what was stored before", endpoint.name)
        self._endpoints = known

    def _millis(self) -> int:
        return int(self._now() * 1000)


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (defect := task.exception()):
        LOG.error("%s ended unexpectedly", task.get_name(), exc_info=defect)
