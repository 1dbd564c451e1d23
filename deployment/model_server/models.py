"""Model versions from the registry, loaded, warmed up, and ready to answer."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from deployment.model_server import golden
from deployment.model_server.answers import serialise
from deployment.model_server.errors import ApiError
from deployment.model_server.scoring_request import ScoringRequest
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
        try:
            return serialise({"predictions": self.answer(request.rows)})
        except ContractViolation as err:
            problems = [problem.as_dict() for problem in err.problems]
            raise ApiError.bad_request(err.failed, problems=problems, found=err.found) from err
        except HookFailed as err:
            LOG.warning("a hook failed at a request", exc_info=True)
            raise ApiError.bad_request(err.failed, hook=err.hook, row=err.row) from err


@dataclass(frozen=True)
class Registry:
    """Loads from the MLflow registry at a tracking URI."""

    tracking_uri: str

    def __call__(self, name: str, version: str) -> Model:
        started = time.monotonic()
        try:
            model = self._load(f"models:/{name}/{version}")
        except (Exception, SystemExit) as err:  # the code of a model may raise anything
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            reason = str(err) if isinstance(err, golden.GoldenMismatch) else f"{type(err).__name__}: {err}"
            raise ModelNotLoaded(reason[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def _load(self, uri: str) -> Model:
        import mlflow.pyfunc

        from deployment.model_server.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self.tracking_uri)
        loaded = mlflow.pyfunc.load_model(uri)
        answer = getattr(_python_model(loaded), "answer", None)
        model: Model = ContractModel(answer) if callable(answer) else PyfuncModel(loaded)
        golden.check(loaded.metadata.metadata or {}, model.predictions)
        if isinstance(model, PyfuncModel):
            model.warm_up()
        return model


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has none
        return None
