"""Model versions from the registry, loaded, warmed up, and ready to answer."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.responses import serialise
from deployment.model_server.http.scoring_request import ScoringRequest
from deployment.model_server.models import golden_check, version_schema
from deployment.model_server.models.fetching import Copies, FetchFailed
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.request_log.payload_table import NO_RULE, LogRule
from lakehouse.errors import LakehouseError
from scoring.contract import ContractViolation
from scoring.golden import REQUEST, rows_of
from scoring.hooks import HookFailed
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.scorer import PIPELINE, SCORER, Scorer

if TYPE_CHECKING:
    from lakehouse.online_store import OnlineStore

LOG = logging.getLogger(__name__)
AnswerRows = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ModelNotLoaded(Exception):
    """A model version cannot be served, and why; the text reaches whoever asks for the endpoint."""


class LoadedModel(Protocol):
    """What answers requests."""

    def predictions(self, request: ScoringRequest) -> bytes:
        """The body of the answer.

        Raises:
            ApiError: the request does not fit the model.
        """
        ...


class Load(Protocol):
    """Gets a model by its registered name and version."""

    def __call__(self, name: str, version: str, /) -> LoadedModel:
        """Load and warm up; takes seconds.

        Raises:
            ModelNotLoaded: with the reason.
        """
        ...


@dataclass(frozen=True)
class Keyed:
    """Answers records that may name an entity and leave its features out."""

    scorer: Scorer
    rows: KeyedRows

    def answer(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.scorer.answer_rows(self.rows.rows(records), records)


@dataclass(frozen=True)
class ContractModel:
    """A model of this project: it checks each row itself and tells row and field of what is wrong.

    Attributes:
        quick_rows: so many rows are answered faster than another thread would have begun.
        log_rule: what of its requests may be logged.
    """

    answer: AnswerRows
    quick_rows: int = 0
    log_rule: LogRule = NO_RULE

    def predictions(self, request: ScoringRequest) -> bytes:
        if request.rows is None:
            raise ApiError.wrong_value(0, "", "an object of named fields", "a list or a single value")
        if request.params:
            raise ApiError.bad_request(f"The model takes no params, and got {', '.join(request.params)}"[:300])
        try:
            return _body(self.answer(request.rows))
        except ContractViolation as err:
            problems = [problem.as_dict() for problem in err.problems]
            raise ApiError.bad_request(err.failed, problems=problems, found=err.found) from err
        except HookFailed as err:
            LOG.warning("a hook failed at a request", exc_info=True)
            raise ApiError.bad_request(err.failed, hook=err.hook, row=err.row) from err

    def together(self, requests: Sequence[ScoringRequest]) -> list[bytes]:
        """The bodies of the answers to several requests, by one run.

        Raises:
            Exception: one of them has no answer; which, and why, tells `predictions` of each.
        """
        if any(request.rows is None or request.params for request in requests):
            raise ValueError("a request without rows, or with params")
        answers = iter(self.answer([row for request in requests for row in request.rows or ()]))
        return [_body(list(islice(answers, request.size))) for request in requests]


def _body(answers: list[dict[str, Any]]) -> bytes:
    return serialise({"predictions": answers})


class Registry:
    """Loads from one MLflow registry, and from nowhere else."""

    def __init__(
        self,
        tracking_uri: str,
        folder: Path,
        registry_uri: str | None = None,
        *,
        unvouched: bool = False,
        online: Path | None = None,
    ) -> None:
        """Files are copied below `folder`; `unvouched` lets versions pass that the registry has no digest of.

        `online` is the folder of the online tables, for models that look features up.
        """
        self._uris = (tracking_uri, registry_uri or tracking_uri)
        self._copies = Copies(folder, *self._uris, unvouched)
        self._abouts: dict[tuple[str, str], VersionSchema] = {}
        self._served: set[tuple[str, str]] = set()
        self._online_folder = online
        self._online_store: OnlineStore | None = None

    def take_up(self, versions: Iterable[tuple[str, str]]) -> None:
        """Load these from their copies, the first time: an earlier server of the folder served them."""
        self._served = set(versions)
        self._copies.keep_only(self._served)

    def __call__(self, name: str, version: str) -> LoadedModel:
        started = time.monotonic()
        try:
            model, self._abouts[name, version] = self._read(self._files(name, version))
        except (Exception, SystemExit) as err:  # the code of a model may raise anything
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            told = isinstance(err, golden_check.GoldenMismatch | FetchFailed)
            raise ModelNotLoaded((str(err) if told else f"{type(err).__name__}: {err}")[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def about(self, name: str, version: str) -> VersionSchema | None:
        """What a version says of itself, once it was loaded."""
        return self._abouts.get((name, version))

    def _files(self, name: str, version: str) -> Path:
        kept = self._copies.kept(name, version) if (name, version) in self._served else None
        self._served.discard((name, version))
        return kept or self._copies.fetch(name, version)

    def _read(self, folder: Path) -> tuple[LoadedModel, VersionSchema]:
        """The model in a folder of files, after it has answered its golden request, and what it says of itself."""
        said = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=_YAML)  # noqa: S506  (a SafeLoader)
        flavor, metadata = said["flavors"].get("python_function", {}), said.get("metadata") or {}
        registered, example = self._copies.registered(folder), metadata.get(REQUEST)
        artifacts = {
            name: str(folder / version_schema["path"]) for name, version_schema in flavor.get("artifacts", {}).items()
        }
        if {PIPELINE, SCORER} <= artifacts.keys():  # one of ours needs no MLflow to be read
            scorer = Scorer.load(artifacts)
            quick = scorer.compiled.quick_rows if scorer.compiled else 0
            first = rows_of(example)[0] if example else None
            described = version_schema.of_scorer(scorer, registered, first)
            answer: AnswerRows = scorer.answer
            if said_of_keys := metadata.get("lookup"):
                lookup = KeyLookup.of(said_of_keys)
                answer = Keyed(scorer, KeyedRows(lookup, scorer.encoder, self._online)).answer
                described = version_schema.with_keys(described, lookup.keys)
            model = ContractModel(answer, quick, LogRule.of(metadata))
            golden_check.check(metadata, model.predictions)
            return model, described
        return self._read_by_mlflow(folder, registered, example)

    def _online(self, table: str, key: tuple[Any, ...]) -> Any:
        """The row of an online table; the store is opened once, by the first model that asks."""
        if self._online_folder is None:
            raise ApiError.unavailable("This server has no online tables to look features up in.")
        if self._online_store is None:
            from lakehouse.online_store import OnlineStore

            self._online_store = OnlineStore(self._online_folder)
        try:
            return self._online_store.row(table, key)
        except LakehouseError as err:
            raise ApiError.unavailable(f"A feature cannot be looked up: {err.failed}") from err

    def _read_by_mlflow(self, folder: Path, registered: float, example: Any) -> tuple[LoadedModel, VersionSchema]:
        import mlflow.pyfunc

        from deployment.model_server.models.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self._uris[0])
        mlflow.set_registry_uri(self._uris[1])
        loaded = mlflow.pyfunc.load_model(str(folder))
        answer = getattr(_python_model(loaded), "answer", None)
        model: LoadedModel = ContractModel(answer) if callable(answer) else PyfuncModel(loaded)
        golden_check.check(loaded.metadata.metadata or {}, model.predictions)
        if isinstance(model, PyfuncModel):
            model.warm_up()
        return model, version_schema.of_signature(loaded.metadata, registered, example)


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has none
        return None
