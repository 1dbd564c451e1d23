"""Model versions from the registry, loaded, warmed up, and ready to answer."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from deployment.model_server import golden
from deployment.model_server.answers import serialise
from deployment.model_server.errors import ApiError
from deployment.model_server.fetching import Copies, FetchFailed
from deployment.model_server.scoring_request import ScoringRequest
from training.contracts import ContractViolation
from training.hooks import HookFailed
from training.scoring import PIPELINE, SCORER, Scorer

LOG = logging.getLogger(__name__)
Answer = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
QUICK_ROWS = 128  # by a compiled form they take some 2 ms; beyond that, other requests would wait too long
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
    """A model of this project: it checks each row itself and tells row and field of what is wrong.

    Attributes:
        quick_rows: so many rows are answered faster than another thread would have begun.
    """

    answer: Answer
    quick_rows: int = 0

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


class Registry:
    """Loads from the MLflow registry at a tracking URI."""

    def __init__(self, tracking_uri: str, copies: Path) -> None:
        self._tracking_uri = tracking_uri
        self._copies = Copies(copies, tracking_uri)

    def __call__(self, name: str, version: str) -> Model:
        return self._timed(name, version, lambda: self._copies.fetch(name, version))

    def restore(self, name: str, version: str) -> Model:
        """Load what an earlier server of the state folder served; from the registry, if its copy is gone."""
        kept = self._copies.kept(name, version)
        return self._timed(name, version, lambda: kept or self._copies.fetch(name, version))

    def keep_only(self, versions: Iterable[tuple[str, str]]) -> None:
        """Forget the copies of all other versions."""
        self._copies.keep_only(versions)

    def _timed(self, name: str, version: str, files: Callable[[], Path]) -> Model:
        started = time.monotonic()
        try:
            model = self._load(files())
        except (Exception, SystemExit) as err:  # the code of a model may raise anything
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            told = isinstance(err, golden.GoldenMismatch | FetchFailed)
            raise ModelNotLoaded((str(err) if told else f"{type(err).__name__}: {err}")[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def _load(self, folder: Path) -> Model:
        said = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=_YAML)
        flavor = said["flavors"].get("python_function", {})
        artifacts = {name: str(folder / about["path"]) for name, about in flavor.get("artifacts", {}).items()}
        if not {PIPELINE, SCORER} <= artifacts.keys():
            return self._of_mlflow(str(folder))
        # One of ours needs no MLflow to be read.
        scorer = Scorer.load(artifacts)
        model = ContractModel(scorer.answer, QUICK_ROWS if scorer.compiled is not None else 0)
        golden.check(said.get("metadata") or {}, model.predictions)
        return model

    def _of_mlflow(self, folder: str) -> Model:
        import mlflow.pyfunc

        from deployment.model_server.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self._tracking_uri)
        loaded = mlflow.pyfunc.load_model(folder)
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
