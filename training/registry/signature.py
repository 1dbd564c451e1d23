"""MLflow signature of a version, and the packages that it needs."""

import pickle
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import COLSPEC_TYPES, AnyType

from scoring.encodings import Encoding
from scoring.estimators.early_stopping import EarlyStoppingBooster
from scoring.estimators.network import Network
from scoring.hooks.fields import Kind
from scoring.hooks.source import BROUGHT_ALONG, distributions
from scoring.scorer import Scorer
from scoring.texts.token_rows import TokenRows

# Imported by the loader of every version.
_ALWAYS = frozenset({"mlflow", "numpy", "pandas", "pydantic", "scikit-learn", "scipy", "skops"})

_RESPONSE_TYPES: Mapping[Kind, DataType] = {
    "boolean": DataType.boolean,
    "integer": DataType.long,
    "number": DataType.double,
    "text": DataType.string,
}
# MLflow refuses integers for a double, and missing values for an integer; the input contract checks every number.
ANY_NUMBER = AnyType()  # type: ignore[no-untyped-call]
_REQUEST_TYPES: Mapping[Kind, COLSPEC_TYPES] = {**_RESPONSE_TYPES, "integer": ANY_NUMBER, "number": ANY_NUMBER}


def signature(scorer: Scorer) -> ModelSignature:
    """The fields of a request and of a response; with hooks, those outside the hooks."""
    sent = scorer.hooks.request_fields.items()  # only the hook knows which of them may be missing
    inputs: list[ColSpec | TensorSpec] = [ColSpec(_REQUEST_TYPES[kind], name, required=False) for name, kind in sent]
    inputs = inputs or [_column(column, encodings) for column, encodings in scorer.encoder.by_column().items()]
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(_RESPONSE_TYPES[kind], name) for name, kind in scorer.fields().items()
    ]
    return ModelSignature(Schema(inputs), Schema(outputs))


def input_example(golden: Mapping[str, Any], inputs: Schema) -> pd.DataFrame:
    """The golden request as a frame for `pyfunc.predict`, its numbers as they are."""
    row = {str(column.name): golden[str(column.name)] for column in inputs.inputs}
    return pd.DataFrame([row])


def requirements(scorer: Scorer) -> list[str]:
    """Packages of the pipeline, its compiled model and the hooks, pinned to the versions used in training."""
    imported = {name.partition(".")[0] for name in _modules(scorer.pipeline)}
    pipeline = {distributions()[name][0] for name in (imported - BROUGHT_ALONG) & distributions().keys()}
    encoding = frozenset[str]().union(*(each.packages for each in scorer.encoder.encodings))
    needed = (
        _ALWAYS
        | pipeline
        | encoding
        | scorer.hooks.packages()
        | (scorer.compiled.packages if scorer.compiled else set())
    )
    return [f"{package}=={installed(package)}" for package in sorted(needed)]


def _column(name: str, encodings: Sequence[Encoding]) -> ColSpec:
    return ColSpec(
        _REQUEST_TYPES[encodings[0].field_kind], name, required=not all(each.nullable for each in encodings)
    )


def _modules(fitted: object) -> set[str]:
    """Modules of every object inside a fitted object, found by pickling it; the pickle is discarded."""
    pickler = _Observer()
    pickler.dump(fitted)
    return pickler.modules


class _Observer(pickle.Pickler):
    """Records the module of every pickled object; the output is discarded."""

    def __init__(self) -> None:
        super().__init__(_Discard(), protocol=pickle.HIGHEST_PROTOCOL)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        self.modules.add(str(getattr(obj, "__module__", None) or type(obj).__module__))
        if isinstance(obj, EarlyStoppingBooster | Network | TokenRows):  # bytes and texts name no module
            self.modules.add(obj.library)
        return NotImplemented


class _Discard:
    def write(self, data: object) -> int:
        return 0
