"""The endpoints of a running server and the models behind them. Only this module changes either.

All methods run on the event loop. While the models of a new config load in threads, requests use the old traffic.
A single assignment then replaces it.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from deployment.model_server.data_plane.traffic import LoadedModels, Traffic
from deployment.model_server.data_plane.version_loading import VersionLoading
from deployment.model_server.endpoints.ai_gateway import InferenceTable
from deployment.model_server.endpoints.control_requests import ConfigInput, CreateInput, TagsInput
from deployment.model_server.endpoints.endpoint import (
    ConfigUpdate,
    DeploymentState,
    Endpoint,
    EndpointConfig,
    ServedEntity,
)
from deployment.model_server.endpoints.store import EndpointStore
from deployment.model_server.http.errors import ApiError
from deployment.model_server.models.contract_model import LoadedModel
from deployment.model_server.models.loader import LoadVersion

LOG = logging.getLogger(__name__)
RETRY_PAUSE, MAX_RETRY_PAUSE = 10.0, 300.0  # seconds until a version that failed to load again is retried


class LiveEndpoints:
    """Creates, updates, restores and deletes endpoints."""

    def __init__(
        self, store: EndpointStore, load: LoadVersion, now: Callable[[], float], retry_pause: float = RETRY_PAUSE
    ) -> None:
        """`retry_pause` is the time until a failed load after a restart is retried; it doubles with each retry."""
        self._store = store
        self._loading = VersionLoading(load)
        self._now = now
        self._retry_pause = retry_pause
        self._endpoints: dict[str, Endpoint] = {}
        self._traffic: dict[str, Traffic] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._write_lock = asyncio.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._endpoints

    @property
    def recovering(self) -> bool:
        """True while an endpoint of an earlier server is still loading."""
        return any(endpoint.recovering for endpoint in self._endpoints.values())

    @property
    def failed(self) -> bool:
        """True if a version that an earlier server served could not be loaded again."""
        return any(endpoint.failed for endpoint in self._endpoints.values())

    def names(self) -> list[str]:
        return sorted(self._endpoints)

    def get(self, name: str) -> Endpoint:
        """One endpoint.

        Raises:
            ApiError: the name is unknown (404).
        """
        if name not in self._endpoints:
            raise ApiError.unknown_endpoint(name, self.names())
        return self._endpoints[name]

    def inference_table(self, name: str) -> InferenceTable | None:
        """The enabled inference table of an endpoint, if it has one."""
        endpoint = self._endpoints.get(name)
        table = endpoint.inference_table if endpoint else None
        return table if table and table.enabled else None

    def tables(self) -> set[InferenceTable]:
        """All enabled inference tables. Safe to call from any thread."""
        tables = (endpoint.inference_table for endpoint in self._endpoints.values())
        return {table for table in tables if table and table.enabled}

    def traffic(self, name: str) -> Traffic:
        """The current traffic of an endpoint.

        Raises:
            ApiError: unknown (404), still loading or not loaded again after a restart (503), or never loaded (400).
        """
        traffic = self._traffic.get(name)
        if traffic and traffic.share:
            return traffic
        endpoint = self.get(name)
        if endpoint.update is ConfigUpdate.IN_PROGRESS or endpoint.recovering:
            raise ApiError.loading(name)
        if endpoint.failed:
            raise ApiError.not_recovered(name, endpoint.reason())
        raise ApiError.not_loaded(name, endpoint.reason())

    def loaded(self) -> list[tuple[str, str, LoadedModel]]:
        """Every loaded model with the names of its endpoint and its served entity."""
        return [
            (name, served, model) for name, each in self._traffic.items() for served, model in each.models.items()
        ]

    def entity_not_served(self, name: str, entity: str) -> ApiError:
        """The error for a served entity that is unknown or not loaded."""
        active = self.get(name).active
        failed = active and active.entity(entity)
        if failed and failed.deployment is DeploymentState.FAILED:
            return ApiError.not_recovered(name, f"{entity}: {failed.message}")
        return ApiError.unknown_served_entity(name, entity, [each.name for each in active.entities] if active else [])

    async def create(self, body: CreateInput) -> Endpoint:
        """Begin to serve a new endpoint.

        Raises:
            ApiError: the name is taken (409), or the config is inconsistent (400).
        """
        tags = tuple(sorted({tag.key: tag.value for tag in body.tags}.items()))
        async with self._write_lock:
            if body.name in self._endpoints:
                raise ApiError.endpoint_exists(body.name)
            now = self._millis()
            table = body.ai_gateway.inference_table(body.name)
            endpoint = Endpoint(
                body.name, uuid.uuid4().hex, now, now, body.description, tags, inference_table=table
            ).updating(body.config.config(), now)
            await self._save(endpoint)
        self._start(endpoint)
        return endpoint

    async def update(self, name: str, body: ConfigInput) -> Endpoint:
        """Begin to update the config of an endpoint.

        Raises:
            ApiError: unknown (404), an update is in progress (409), or the config is inconsistent (400).
        """
        async with self._write_lock:
            endpoint = self.get(name)
            endpoint = endpoint.updating(body.config(endpoint.active), self._millis())
            await self._save(endpoint)
        self._start(endpoint)
        return endpoint

    async def tag(self, name: str, body: TagsInput) -> Endpoint:
        """Add and delete tags."""
        async with self._write_lock:
            endpoint = self.get(name)
            tags = {key: value for key, value in endpoint.tags if key not in body.delete_tags}
            tags |= {tag.key: tag.value for tag in body.add_tags}
            endpoint = replace(endpoint, tags=tuple(sorted(tags.items())), last_updated_timestamp=self._millis())
            await self._save(endpoint)
            if name in self._traffic:
                self._traffic[name] = replace(self._traffic[name], shadow=endpoint.shadow)
        return endpoint

    async def set_inference_table(self, name: str, table: InferenceTable | None) -> Endpoint:
        """Set the inference table of an endpoint; None removes it."""
        async with self._write_lock:
            endpoint = replace(self.get(name), inference_table=table, last_updated_timestamp=self._millis())
            await self._save(endpoint)
        return endpoint

    async def delete(self, name: str) -> None:
        """Stop serving an endpoint and delete it."""
        async with self._write_lock:
            self.get(name)
            remaining = {known: endpoint for known, endpoint in self._endpoints.items() if known != name}
            await asyncio.to_thread(self._store.write, remaining)
            self._endpoints = remaining
            self._traffic.pop(name, None)
            if task := self._tasks.pop(name, None):
                task.cancel()

    def restore(self, stored: Mapping[str, Endpoint]) -> None:
        """Restore the endpoints of an earlier server. They load while this server already accepts requests."""
        now = self._millis()
        self._endpoints = {name: endpoint.restarted(now) for name, endpoint in stored.items()}
        for endpoint in self._endpoints.values():
            self._start(endpoint)

    async def close(self) -> None:
        """Cancel all loads. The stored endpoints stay."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, endpoint: Endpoint) -> None:
        task = asyncio.create_task(self._settle(endpoint), name=f"load {endpoint.name}")
        task.add_done_callback(_log_failure)
        self._tasks[endpoint.name] = task

    async def _settle(self, endpoint: Endpoint) -> None:
        """Load the active config after a restart, then the pending one, then retry failed active entities."""
        if endpoint.active and endpoint.recovering:
            await self._recover(endpoint.name)
        if endpoint.pending and endpoint.update is ConfigUpdate.IN_PROGRESS:
            models, reasons = await self._load_all(endpoint.name, endpoint.pending)
            if reasons:
                await self._finish(endpoint.name, lambda current: current.update_failed(reasons), None)
            else:
                await self._finish(endpoint.name, Endpoint.updated, models)
        pause = self._retry_pause
        while not self._superseded(endpoint.name) and self.get(endpoint.name).failed:
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_PAUSE)
            await self._recover(endpoint.name)

    async def _recover(self, name: str) -> None:
        active = None if self._superseded(name) else self.get(name).active
        if active is not None:
            models, reasons = await self._load_all(name, active)
            await self._finish(name, lambda current: current.recovered(reasons), models)

    def _superseded(self, name: str) -> bool:
        """True if the endpoint was deleted or updated since this task began. A load cannot be interrupted."""
        return self._tasks.get(name) is not asyncio.current_task()

    async def _load_all(self, name: str, config: EndpointConfig) -> tuple[dict[str, LoadedModel], dict[str, str]]:
        return await self._loading.load_all(config.entities, lambda entity: self._already_loaded(name, entity))

    def _already_loaded(self, name: str, entity: ServedEntity) -> LoadedModel | None:
        """The model of the same version, if the endpoint serves it already."""
        endpoint = self._endpoints.get(name)
        active = endpoint and endpoint.active
        traffic = self._traffic.get(name)
        if active is None or traffic is None:
            return None
        same_version = (known.name for known in active.entities if known.model == entity.model)
        return next((traffic.models[known] for known in same_version if known in traffic.models), None)

    async def _finish(
        self, name: str, transition: Callable[[Endpoint], Endpoint], models: LoadedModels | None
    ) -> None:
        async with self._write_lock:
            if self._superseded(name):
                return
            endpoint = transition(self.get(name))
            await self._save(endpoint, must_store=False)
            if models is not None and endpoint.active:
                self._traffic[name] = Traffic.of(endpoint.active, models, endpoint.shadow)
        LOG.info("endpoint %s: %s, %s", name, "ready" if endpoint.ready else "not ready", endpoint.update)

    async def _save(self, endpoint: Endpoint, *, must_store: bool = True) -> None:
        """Store an endpoint and make it current. With `must_store=False`, also if the disk refuses it."""
        endpoints = self._endpoints | {endpoint.name: endpoint}
        try:
            await asyncio.to_thread(self._store.write, endpoints)
        except OSError:
            if must_store:
                raise
            LOG.exception("endpoint %s cannot be stored: a restart restores its previous state", endpoint.name)
        self._endpoints = endpoints

    def _millis(self) -> int:
        return int(self._now() * 1000)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        LOG.error("%s ended unexpectedly", task.get_name(), exc_info=error)
