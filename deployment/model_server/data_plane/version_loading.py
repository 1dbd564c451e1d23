"""Asynchronous loading of model versions: in threads, one at a time, because imports are not thread-safe."""

import asyncio
from collections.abc import Callable, Iterable

from deployment.model_server.endpoints.endpoint import ServedEntity
from deployment.model_server.http.foreign_text import without_paths
from deployment.model_server.isolation.threads import in_daemon_thread
from deployment.model_server.models.contract_model import LoadedModel
from deployment.model_server.models.loader import LoadVersion, ModelNotLoaded


class VersionLoading:
    """Loads the versions of served entities without blocking the event loop."""

    def __init__(self, load: LoadVersion) -> None:
        self._load = load
        self._lock = asyncio.Lock()

    async def load_all(
        self, entities: Iterable[ServedEntity], already_loaded: Callable[[ServedEntity], LoadedModel | None]
    ) -> tuple[dict[str, LoadedModel], dict[str, str]]:
        """Load every entity that is not loaded already.

        Returns:
            Models by the name of the entity, and reasons of failure by the name of the entity.
        """
        models: dict[str, LoadedModel] = {}
        reasons: dict[str, str] = {}
        for entity in entities:
            try:
                models[entity.name] = already_loaded(entity) or await self._load_one(entity)
            except ModelNotLoaded as err:
                reasons[entity.name] = without_paths(str(err))  # callers read it
        return models, reasons

    async def _load_one(self, entity: ServedEntity) -> LoadedModel:
        async with self._lock:
            return await in_daemon_thread(lambda: self._load(*entity.model))
