"""Loading of model versions from the registry: trusted ones in this process, others in processes of their own."""

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from deployment.model_server.isolation.model_process import LoadFailedInProcess, ProcessEnded, ProcessSpec
from deployment.model_server.models import golden_check
from deployment.model_server.models.contract_model import ContractModel, LoadedModel
from deployment.model_server.models.fetching import FetchFailed, VersionCache
from deployment.model_server.models.isolated_model import IsolatedModel
from deployment.model_server.models.version_files import Read, VersionFiles, VersionReader
from deployment.model_server.models.version_schema import VersionSchema

LOG = logging.getLogger(__name__)
PROCESS_MEMORY = 2048 * 2**20  # bytes that a model process may allocate beyond its loaded version


class ModelNotLoaded(Exception):
    """A model version cannot be served. The endpoint shows the message as its reason."""


class TraceInProcess(Exception):
    """The traceback of a failure in a model process."""


class LoadVersion(Protocol):
    """Loads a model by its registered name and version."""

    def __call__(self, name: str, version: str, /) -> LoadedModel:
        """Load and warm up a model, which takes seconds.

        Raises:
            ModelNotLoaded: with the reason.
        """
        ...


class RegistryLoader:
    """Loads model versions from one MLflow registry, and from no other source.

    Attributes:
        workers: number of processes of each trusted version that predict requests of many rows.
    """

    def __init__(
        self,
        tracking_uri: str,
        folder: Path,
        registry_uri: str | None = None,
        *,
        allow_unverified: bool = False,
        online_tables: Path | None = None,
    ) -> None:
        """Files are cached below `folder`; `allow_unverified` also loads versions without a registered digest.

        `online_tables` is the folder of the online tables, for models that look up features.
        """
        self._uris = (tracking_uri, registry_uri or tracking_uri)
        self._cache = VersionCache(folder, *self._uris, allow_unverified)
        self._schemas: dict[tuple[str, str], VersionSchema] = {}
        self._to_restore: set[tuple[str, str]] = set()
        self._online_folder = online_tables
        self._reader = VersionReader(*self._uris, online_tables)
        self.workers = 0

    def restore(self, versions: Iterable[tuple[str, str]]) -> None:
        """Load these versions from the cache at first use: an earlier server of the folder served them."""
        self._to_restore = set(versions)
        self._cache.keep_only(self._to_restore)

    def __call__(self, name: str, version: str) -> LoadedModel:
        started = time.monotonic()
        try:
            model, self._schemas[name, version] = self._load(name, version)
        except LoadFailedInProcess as err:
            LOG.warning("model %s version %s cannot be served:\n%s", name, version, err.trace)
            raise ModelNotLoaded(str(err)[:1000]) from TraceInProcess(err.trace)
        except Exception as err:
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            raise ModelNotLoaded(_reason(err)[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def schema_of(self, name: str, version: str) -> VersionSchema | None:
        """The schema of a version, once it is loaded."""
        return self._schemas.get((name, version))

    def _load(self, name: str, version: str) -> Read:
        folder = self._folder(name, version)
        files = VersionFiles.of(folder, self._cache.registered_at(folder))
        if files.trusted:
            model, schema = self._reader.read(files)
            if self.workers and isinstance(model, ContractModel):
                model = replace(model, workers=self._isolated(name, version, files, self.workers))
            return model, schema
        isolated = self._isolated(name, version, files)
        return isolated, isolated.schema

    def _isolated(self, name: str, version: str, files: VersionFiles, processes: int | None = None) -> IsolatedModel:
        described = {
            "folder": str(files.folder), "registered": files.registered,
            "tracking_uri": self._uris[0], "registry_uri": self._uris[1],
            "online_tables": None if self._online_folder is None else str(self._online_folder),
        }  # fmt: skip
        spec = ProcessSpec(f"{name} version {version}", described, PROCESS_MEMORY)
        return IsolatedModel(spec, files.log_rule, processes)

    def _folder(self, name: str, version: str) -> Path:
        cached = self._cache.cached(name, version) if (name, version) in self._to_restore else None
        self._to_restore.discard((name, version))
        return cached or self._cache.fetch(name, version)


def _reason(err: Exception) -> str:
    if isinstance(err, ProcessEnded):
        return f"its process ended while it loaded: {err}"
    explained = isinstance(err, golden_check.GoldenMismatch | FetchFailed)
    return str(err) if explained else f"{type(err).__name__}: {err}"
