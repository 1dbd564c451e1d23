"""Reading of a version from its files, in this process: model, golden request, schema."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from deployment.model_server.http.errors import ApiError
from deployment.model_server.http.foreign_text import without_paths
from deployment.model_server.http.record_decoder import RecordDecoder
from deployment.model_server.models import golden_check, version_schema
from deployment.model_server.models.contract_model import ContractModel, KeyedScorer, LoadedModel, PredictRows
from deployment.model_server.models.distributions import distributions_of
from deployment.model_server.models.version_schema import VersionSchema
from deployment.model_server.request_log.payload_table import LogRule
from lakehouse.errors import LakehouseError
from scoring.compiled import is_compiled
from scoring.contract import ContractViolation, Problem, format_value
from scoring.golden import REQUEST, as_rows
from scoring.hooks import has_foreign_hooks
from scoring.key_lookup import KeyedRows, KeyLookup
from scoring.scorer import PIPELINE, SCORER, Scorer

if TYPE_CHECKING:
    from lakehouse.tables.online_store import OnlineStore

_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Read = tuple[LoadedModel, VersionSchema]


@dataclass(frozen=True)
class VersionFiles:
    """The files of a version, and its description from `MLmodel`.

    Attributes:
        registered: registration time in seconds since 1970.
        artifacts: path of each artifact by name.
    """

    folder: Path
    registered: float
    metadata: Mapping[str, Any]
    artifacts: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path, registered: float) -> Self:
        description = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=_YAML)  # noqa: S506  (safe)
        flavor = description["flavors"].get("python_function", {})
        artifacts = {name: str(folder / entry["path"]) for name, entry in flavor.get("artifacts", {}).items()}
        return cls(folder, registered, description.get("metadata") or {}, artifacts)

    @property
    def from_this_project(self) -> bool:
        """True for a version of this project, which loads without MLflow."""
        return {PIPELINE, SCORER} <= self.artifacts.keys()

    @property
    def trusted(self) -> bool:
        """True if only code of this server answers requests: a compiled model, and hooks that the server ships."""
        if not self.from_this_project or not is_compiled(self.artifacts):
            return False
        description = json.loads(Path(self.artifacts[SCORER]).read_text(encoding="utf-8"))
        return not has_foreign_hooks(description["hooks"], self.artifacts)

    @property
    def log_rule(self) -> LogRule:
        return LogRule.of(self.metadata)


class VersionReader:
    """Reads versions, and opens the online tables for those that look up features."""

    def __init__(self, tracking_uri: str, registry_uri: str, online_tables: Path | None) -> None:
        """`online_tables` is the folder of the online tables."""
        self._uris = (tracking_uri, registry_uri)
        self._online_folder = online_tables
        self._online_store: OnlineStore | None = None

    def read(self, files: VersionFiles) -> Read:
        """Load the model and replay its golden request.

        Raises:
            GoldenMismatch: the model does not reproduce its golden predictions.
        """
        if not files.from_this_project:
            return self._read_by_mlflow(files)
        model, schema = self._read_scorer(files)
        golden_check.check(files.metadata, model.predictions)
        return model, schema

    def _read_scorer(self, files: VersionFiles) -> tuple[ContractModel, VersionSchema]:
        scorer = Scorer.load(files.artifacts)
        example = files.metadata.get(REQUEST)
        schema = version_schema.of_scorer(scorer, files.registered, as_rows(example)[0] if example else None)
        schema = replace(schema, distributions=distributions_of(files.artifacts))
        predict_rows: PredictRows = scorer.respond
        if lookup_fields := files.metadata.get("lookup"):
            lookup = KeyLookup.of(lookup_fields)
            online = partial(self._online_row, lookup.keys)
            predict_rows = KeyedScorer(scorer, KeyedRows(lookup, scorer.encoder, online)).predict_rows
            schema = version_schema.with_keys(schema, lookup.keys)
        decoder = None if lookup_fields or scorer.hooks.preprocess else RecordDecoder.of(scorer.encoder)
        return ContractModel(predict_rows, scorer.inline_rows, files.log_rule, decoder), schema

    def _online_row(self, keys: Sequence[str], table: str, values: tuple[Any, ...]) -> Any:
        """The row of an online table. The first lookup opens the store."""
        from lakehouse.tables.online_store import EntityRefused, OnlineStore

        if self._online_folder is None:
            raise ApiError.unavailable("This server has no online tables to look up features.")
        if self._online_store is None:
            self._online_store = OnlineStore(self._online_folder)
        try:
            return self._online_store.row_of(table, dict(zip(keys, values, strict=True)))
        except EntityRefused as err:
            problem = Problem(0, err.field, err.expected, format_value(err.got))
            raise ContractViolation([problem]) from err
        except LakehouseError as err:
            raise ApiError.unavailable(f"The lookup of a feature failed: {without_paths(err.failed)}") from err

    def _read_by_mlflow(self, files: VersionFiles) -> Read:
        import mlflow.pyfunc

        from deployment.model_server.models.pyfunc_model import PyfuncModel

        mlflow.set_tracking_uri(self._uris[0])
        mlflow.set_registry_uri(self._uris[1])
        loaded = mlflow.pyfunc.load_model(str(files.folder))
        respond = getattr(_python_model(loaded), "respond", None)
        model: LoadedModel = ContractModel(respond) if callable(respond) else PyfuncModel(loaded)
        golden_check.check(loaded.metadata.metadata or {}, model.predictions)
        if isinstance(model, PyfuncModel):
            model.warm_up()
        example = files.metadata.get(REQUEST)
        return model, version_schema.of_signature(loaded.metadata, files.registered, example)


def _python_model(loaded: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return loaded.unwrap_python_model()
    except MlflowException:  # a native flavour has no Python model
        return None
