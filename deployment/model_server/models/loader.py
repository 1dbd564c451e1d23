"""Loading of model versions from the registry: files, model, golden request, schema."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.foreign_text import without_paths
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models import golden_check, version_schema
from deployment.model_server.models.fetching import FetchFailed, VersionCache
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.request_log.payload_table import NO_RULE, LogRule
from lakehouse.errors import LakehouseError
from scoring.contract import ContractViolation
from scoring.golden import REQUEST, as_rows
from scoring.hooks import HookFailed
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.scorer import PIPELINE, SCORER, Scorer

if TYPE_CHECKING:
    from lakehouse.tables.online_store import OnlineStore

LOG = logging.getLogger(__name__)
PredictRows = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ModelNotLoaded(Exception):
    """A model version cannot be served. The endpoint shows the message as its reason."""


class LoadedModel(Protocol):
    """A model that is ready to predict."""

    def predictions(self, request: ScoringRequest) -> bytes:
        """The response body for a request.

        Raises:
            ApiError: the request does not fit the model.
        """
        ...


class LoadVersion(Protocol):
    """Loads a model by its registered name and version."""

    def __call__(self, name: str, version: str, /) -> LoadedModel:
        """Load and warm up a model, which takes seconds.

        Raises:
            ModelNotLoaded: with the reason.
        """
        ...


@dataclass(frozen=True)
class KeyedScorer:
    """Predicts records that may contain only the key of an entity; looks up the missing features."""

    scorer: Scorer
    rows: KeyedRows

    def predict_rows(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.scorer.respond_to_rows(self.rows.rows(records), records)


@dataclass(frozen=True)
class ContractModel:
    """A model of this project. It validates each row and reports row and field of invalid values.

    Attributes:
        inline_rows: up to this many rows are predicted in the calling thread, which is faster than starting another.
        log_rule: rule of the request log for this version.
    """

    predict_rows: PredictRows
    inline_rows: int = 0
    log_rule: LogRule = NO_RULE

    def predictions(self, request: ScoringRequest) -> bytes:
        if request.rows is None:
            raise ApiError.wrong_value(0, "", "an object with named fields", "a list or a single value")
        if request.params:
            raise ApiError.bad_request(f"The model takes no params, but got {', '.join(request.params)}"[:300])
        try:
            return _body(self.predict_rows(request.rows))
        except ContractViolation as err:
            problems = [problem.as_dict() for problem in err.problems]
            raise ApiError.bad_request(err.failed, problems=problems, found=err.found) from err
        except HookFailed as err:
            LOG.warning("a hook failed on a request", exc_info=True)
            raise ApiError.bad_request(err.failed, hook=err.hook, row=err.row) from err

    def batch_predictions(self, requests: Sequence[ScoringRequest]) -> list[bytes]:
        """The response bodies for several requests, from one run of the model.

        Raises:
            Exception: some request failed; call `predictions` with each to find which one, and why.
        """
        if any(request.rows is None or request.params for request in requests):
            raise ValueError("a request without rows, or with params")
        predictions = iter(self.predict_rows([row for request in requests for row in request.rows or ()]))
        return [_body(list(islice(predictions, request.size))) for request in requests]


def _body(predictions: list[dict[str, Any]]) -> bytes:
    return serialise({"predictions": predictions})


class RegistryLoader:
    """Loads model versions from one MLflow registry, and from no other source."""

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
        self._online_store: OnlineStore | None = None

    def restore(self, versions: Iterable[tuple[str, str]]) -> None:
        """Load these versions from the cache at first use: an earlier server of the folder served them."""
        self._to_restore = set(versions)
        self._cache.keep_only(self._to_restore)

    def __call__(self, name: str, version: str) -> LoadedModel:
        started = time.monotonic()
        try:
            model, self._schemas[name, version] = self._read(self._files(name, version))
        except (Exception, SystemExit) as err:  # the code of a model may raise anything
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            explained = isinstance(err, golden_check.GoldenMismatch | FetchFailed)
            raise ModelNotLoaded((str(err) if explained else f"{type(err).__name__}: {err}")[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def schema_of(self, name: str, version: str) -> VersionSchema | None:
        """The schema of a version, once it is loaded."""
        return self._schemas.get((name, version))

    def _files(self, name: str, version: str) -> Path:
        cached = self._cache.cached(name, version) if (name, version) in self._to_restore else None
        self._to_restore.discard((name, version))
        return cached or self._cache.fetch(name, version)

    def _read(self, folder: Path) -> tuple[LoadedModel, VersionSchema]:
        """Load the model in a folder and replay its golden request."""
        description = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=_YAML)  # noqa: S506  (safe)
        flavor, metadata = description["flavors"].get("python_function", {}), description.get("metadata") or {}
        registered, example = self._cache.registered_at(folder), metadata.get(REQUEST)
        artifacts = {name: str(folder / entry["path"]) for name, entry in flavor.get("artifacts", {}).items()}
        if {PIPELINE, SCORER} <= artifacts.keys():  # a model of this project, which loads without MLflow
            model, schema = self._read_scorer(artifacts, metadata, registered)
            golden_check.check(metadata, model.predictions)
            return model, schema
        return self._read_by_mlflow(folder, registered, example)

    def _read_scorer(
        self, artifacts: Mapping[str, str], metadata: Mapping[str, Any], registered: float
    ) -> tuple[ContractModel, VersionSchema]:
        scorer = Scorer.load(artifacts)
        inline_rows = scorer.compiled.inline_rows if scorer.compiled else 0
        example = metadata.get(REQUEST)
        schema = version_schema.of_scorer(scorer, registered, as_rows(example)[0] if example else None)
        predict_rows: PredictRows = scorer.respond
        if lookup_fields := metadata.get("lookup"):
            lookup = KeyLookup.of(lookup_fields)
            predict_rows = KeyedScorer(scorer, KeyedRows(lookup, scorer.encoder, self._online_row)).predict_rows
            schema = version_schema.with_keys(schema, lookup.keys)
        return ContractModel(predict_rows, inline_rows, LogRule.of(metadata)), schema

    def _online_row(self, table: str, key: tuple[Any, ...]) -> Any:
        """The row of an online table. The first lookup opens the store."""
        if self._online_folder is None:
            raise ApiError.unavailable("This server has no online tables to look up features.")
        if self._online_store is None:
            from lakehouse.tables.online_store import OnlineStore

            self._online_store = OnlineStore(self._online_folder)
        try:
            return self._online_store.row(table, key)
        except LakehouseError as err:
            raise ApiError.unavailable(f"The lookup of a feature failed: {without_paths(err.failed)}") from err

    def _read_by_mlflow(self, folder: Path, registered: float, example: Any) -> tuple[LoadedModel, VersionSchema]:
        import mlflow.pyfunc

        from deployment.model_server.models.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self._uris[0])
        mlflow.set_registry_uri(self._uris[1])
        loaded = mlflow.pyfunc.load_model(str(folder))
        respond = getattr(_python_model(loaded), "respond", None)
        model: LoadedModel = ContractModel(respond) if callable(respond) else PyfuncModel(loaded)
        golden_check.check(loaded.metadata.metadata or {}, model.predictions)
        if isinstance(model, PyfuncModel):
            model.warm_up()
        return model, version_schema.of_signature(loaded.metadata, registered, example)


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has no Python model
        return None
