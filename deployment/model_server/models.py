"""Model versions from the registry, loaded, warmed up, and ready to answer."""

import logging
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deployment.model_server import about, golden
from deployment.model_server.about import About
from deployment.model_server.answers import serialise
from deployment.model_server.errors import ApiError
from deployment.model_server.scoring_request import ScoringRequest
from deployment.model_server.vouched import NotVouched, fetch
from training.contracts import ContractViolation
from training.hooks import HookFailed

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LOG = logging.getLogger(__name__)
Answer = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class ModelNotLoaded(Exception):
    """A model version cannot be served, and why; the text reaches whoever asks for the endpoint."""


class Model(Protocol):
    """What answers requests."""

    def predictions(self, request: ScoringRequest) -> bytes:
        """The body of the answer.

        Raises:
            ApiError: the request does not fit the model.
        """
        ...


class Load(Protocol):
    """Gets a model by its registered name and version."""

    def __call__(self, name: str, version: str, /) -> Model:
        """Load and warm up; takes seconds.

        Raises:
            ModelNotLoaded: with the reason.
        """
        ...


@dataclass(frozen=True)
class ContractModel:
    """A model of this project: it checks each row itself and tells row and field of what is wrong."""

    answer: Answer

    def predictions(self, request: ScoringRequest) -> bytes:
        if request.rows is None:
            raise ApiError.wrong_value(0, "", "an object of named fields", "a list or a single value")
        if request.params:
            raise ApiError.bad_request(f"The model takes no params, and got {', '.join(request.params)}"[:300])
        try:
            return serialise({"predictions": self.answer(request.rows)})
        except ContractViolation as err:
            problems = [problem.as_dict() for problem in err.problems]
            raise ApiError.bad_request(err.failed, problems=problems, found=err.found) from err
        except HookFailed as err:
            LOG.warning("a hook failed at a request", exc_info=True)
            raise ApiError.bad_request(err.failed, hook=err.hook, row=err.row) from err


class Registry:
    """Loads from one MLflow registry, and from nowhere else."""

    def __init__(
        self, tracking_uri: str, folder: Path, registry_uri: str | None = None, *, unvouched: bool = False
    ) -> None:
        """Files are copied below `folder`; `unvouched` lets versions pass that the registry has no digest of."""
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri or tracking_uri
        self._unvouched = unvouched
        self._abouts: dict[tuple[str, str], About] = {}
        self._folder = folder

    def __call__(self, name: str, version: str) -> Model:
        started = time.monotonic()
        try:
            model = self._load(name, version)
        except (Exception, SystemExit) as err:  # the code of a model may raise anything
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            told = isinstance(err, golden.GoldenMismatch | NotVouched)
            raise ModelNotLoaded((str(err) if told else f"{type(err).__name__}: {err}")[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def about(self, name: str, version: str) -> About | None:
        """What a version says of itself, once it was loaded."""
        return self._abouts.get((name, version))

    def _load(self, name: str, version: str) -> Model:
        import mlflow
        from mlflow.tracking import MlflowClient

        mlflow.set_tracking_uri(self._tracking_uri)
        mlflow.set_registry_uri(self._registry_uri)
        known = MlflowClient().get_model_version(name, version)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{version}-", dir=self._folder))
        try:
            model, self._abouts[name, version] = _read(fetch(known, folder, unvouched=self._unvouched), known)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # A model may read its files while it answers: they go when it does, or when the process ends.
        weakref.finalize(model, shutil.rmtree, folder, ignore_errors=True)
        return model


def _read(files: Path, known: "ModelVersion") -> tuple[Model, About]:
    """The model in a folder of files, after it has answered its golden request, and what it says of itself."""
    import mlflow.pyfunc

    from deployment.model_server.pyfunc_model import PyfuncModel

    loaded = mlflow.pyfunc.load_model(str(files))
    python_model = _python_model(loaded)
    answer, scorer = getattr(python_model, "answer", None), getattr(python_model, "scorer", None)
    model: Model = ContractModel(answer) if callable(answer) else PyfuncModel(loaded)
    metadata = loaded.metadata.metadata or {}
    golden.check(metadata, model.predictions)
    if isinstance(model, PyfuncModel):
        model.warm_up()
    registered, example = known.creation_timestamp / 1000, metadata.get(golden.REQUEST)
    if scorer is not None:
        return model, about.of_scorer(scorer, registered, example)
    return model, about.of_signature(loaded.metadata, registered, example)


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has none
        return None
