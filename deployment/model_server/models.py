"""Model versions from the registry, loaded, warmed up, and ready to answer."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from deployment.model_server import about, golden
from deployment.model_server.about import About
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
        self._uris = (tracking_uri, registry_uri or tracking_uri)
        self._copies = Copies(folder, *self._uris, unvouched)
        self._abouts: dict[tuple[str, str], About] = {}
        self._served: set[tuple[str, str]] = set()

    def take_up(self, versions: Iterable[tuple[str, str]]) -> None:
        """Load these from their copies, the first time: an earlier server of the folder served them."""
        self._served = set(versions)
        self._copies.keep_only(self._served)

    def __call__(self, name: str, version: str) -> Model:
        started = time.monotonic()
        try:
            model, self._abouts[name, version] = self._read(self._files(name, version))
        except (Exception, SystemExit) as err:  # the code of a model may raise anything
            LOG.warning("model %s version %s cannot be served", name, version, exc_info=True)
            told = isinstance(err, golden.GoldenMismatch | FetchFailed)
            raise ModelNotLoaded((str(err) if told else f"{type(err).__name__}: {err}")[:1000]) from err
        LOG.info("model %s version %s loaded in %.1f s", name, version, time.monotonic() - started)
        return model

    def about(self, name: str, version: str) -> About | None:
        """What a version says of itself, once it was loaded."""
        return self._abouts.get((name, version))

    def _files(self, name: str, version: str) -> Path:
        kept = self._copies.kept(name, version) if (name, version) in self._served else None
        self._served.discard((name, version))
        return kept or self._copies.fetch(name, version)

    def _read(self, folder: Path) -> tuple[Model, About]:
        """The model in a folder of files, after it has answered its golden request, and what it says of itself."""
        said = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=_YAML)
        flavor, metadata = said["flavors"].get("python_function", {}), said.get("metadata") or {}
        registered, example = self._copies.registered(folder), metadata.get(golden.REQUEST)
        artifacts = {name: str(folder / about["path"]) for name, about in flavor.get("artifacts", {}).items()}
        if {PIPELINE, SCORER} <= artifacts.keys():  # one of ours needs no MLflow to be read
            scorer = Scorer.load(artifacts)
            model = ContractModel(scorer.answer, QUICK_ROWS if scorer.compiled is not None else 0)
            golden.check(metadata, model.predictions)
            return model, about.of_scorer(scorer, registered, example)
        return self._read_by_mlflow(folder, registered, example)

    def _read_by_mlflow(self, folder: Path, registered: float, example: Any) -> tuple[Model, About]:
        import mlflow.pyfunc

        from deployment.model_server.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self._uris[0])
        mlflow.set_registry_uri(self._uris[1])
        loaded = mlflow.pyfunc.load_model(str(folder))
        answer = getattr(_python_model(loaded), "answer", None)
        model: Model = ContractModel(answer) if callable(answer) else PyfuncModel(loaded)
        golden.check(loaded.metadata.metadata or {}, model.predictions)
        if isinstance(model, PyfuncModel):
            model.warm_up()
        return model, about.of_signature(loaded.metadata, registered, example)


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has none
        return None
