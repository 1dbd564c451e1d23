"""Model versions from the registry, loaded, warmed up, and ready to answer."""

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deployment.model_server import golden
from deployment.model_server.about import About
from deployment.model_server.answers import serialise
from deployment.model_server.errors import ApiError
from deployment.model_server.scoring_request import ScoringRequest
from deployment.model_server.vouched import NotVouched, fetch
from training.contracts import ContractViolation
from training.hooks import HookFailed

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

    def __init__(self, tracking_uri: str, registry_uri: str | None = None, *, unvouched: bool = False) -> None:
        """`unvouched` lets versions pass for whose files the registry has no digest."""
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri or tracking_uri
        self._unvouched = unvouched
        self._abouts: dict[tuple[str, str], About] = {}
        # Files that a model reads while it answers live as long as the server, and go with it.
        self._files = tempfile.TemporaryDirectory(prefix="model-server-", ignore_cleanup_errors=True)

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
        import mlflow.pyfunc
        from mlflow.tracking import MlflowClient

        from deployment.model_server import about
        from deployment.model_server.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self._tracking_uri)
        mlflow.set_registry_uri(self._registry_uri)
        known = MlflowClient().get_model_version(name, version)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-{version}-", dir=self._files.name))
        loaded = mlflow.pyfunc.load_model(str(fetch(known, folder, unvouched=self._unvouched)))
        python_model = _python_model(loaded)
        answer, scorer = getattr(python_model, "answer", None), getattr(python_model, "scorer", None)
        model: Model = ContractModel(answer) if callable(answer) else PyfuncModel(loaded)
        metadata = loaded.metadata.metadata or {}
        golden.check(metadata, model.predictions)
        if isinstance(model, PyfuncModel):
            model.warm_up()
        registered, example = known.creation_timestamp / 1000, metadata.get(golden.REQUEST)
        self._abouts[name, version] = (
            about.of_scorer(scorer, registered, example)
            if scorer is not None
            else about.of_signature(loaded.metadata, registered, example)
        )
        return model


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has none
        return None
