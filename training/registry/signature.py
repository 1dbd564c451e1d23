"""What passes between a caller and a version, as MLflow says it, and which packages a version needs."""

import pickle
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from scoring.encodings import Encoding
from scoring.estimators.early_stopping import EarlyStoppingBooster
from scoring.hooks.fields import Kind
from scoring.hooks.source import BROUGHT_ALONG, distributions
from scoring.scorer import Scorer

# What reading a version imports, whatever is in it.
_ALWAYS = frozenset({"mlflow", "numpy", "pandas", "pydantic", "scikit-learn", "scipy", "skops"})

_ANSWERED: Mapping[Kind, DataType] = {
    "boolean": DataType.boolean,
    "integer": DataType.long,
    "number": DataType.double,
    "text": DataType.string,
}
# Which of its fields may be missing only the hook knows. Whole numbers are sent as doubles: see `_column`.
_SENT: Mapping[Kind, DataType] = {**_ANSWERED, "integer": DataType.double}


def signature(scorer: Scorer) -> ModelSignature:
    """The fields that a caller sends, and those of an answer; where there are hooks, outside of them."""
    takes = scorer.hooks.request_fields
    inputs: list[ColSpec | TensorSpec] = [ColSpec(_SENT[kind], name, required=False) for name, kind in takes.items()]
    inputs = inputs or [_column(column, encodings) for column, encodings in scorer.encoder.by_column().items()]
    outputs: list[ColSpec | TensorSpec] = [ColSpec(_ANSWERED[kind], name) for name, kind in scorer.fields().items()]
    return ModelSignature(Schema(inputs), Schema(outputs))


def input_example(golden: Mapping[str, Any], takes: Schema) -> pd.DataFrame:
    """The golden request as the frame that `pyfunc.predict` takes; a missing number is NaN, as pandas has it."""
    names = {str(column.name): column.type is DataType.double for column in takes.inputs}
    row = {name: np.nan if number and golden[name] is None else golden[name] for name, number in names.items()}
    return pd.DataFrame([row]).astype({name: np.float64 for name, number in names.items() if number})


def requirements(scorer: Scorer) -> list[str]:
    """The packages that answering needs, pinned to what trained: of the pipeline, its compiled form and the hooks."""
    imported = {name.partition(".")[0] for name in _modules(scorer.pipeline)}
    parts = {distributions()[name][0] for name in (imported - BROUGHT_ALONG) & distributions().keys()}
    needed = _ALWAYS | parts | scorer.hooks.packages() | (scorer.compiled.packages if scorer.compiled else set())
    return [f"{package}=={installed(package)}" for package in sorted(needed)]


def _column(name: str, encodings: Sequence[Encoding]) -> ColSpec:
    return ColSpec(_SENT[encodings[0].field_kind], name, required=not all(each.nullable for each in encodings))


def _modules(fitted: object) -> set[str]:
    """The modules of all that an object is made of; nothing is kept of the pickle."""
    pickler = _Observer()
    pickler.dump(fitted)
    return pickler.modules


class _Observer(pickle.Pickler):
    """Notes where everything that it meets comes from, and writes nowhere."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), protocol=pickle.HIGHEST_PROTOCOL)
        self.modules: set[str] = set()

    def reducer_override(self, met: Any) -> Any:
        self.modules.add(str(getattr(met, "__module__", None) or type(met).__module__))
        if isinstance(met, EarlyStoppingBooster):  # whose model may be written as bytes, which say nothing
            self.modules.add(met.library)
        return NotImplemented


class _Nowhere:
    def write(self, data: object) -> int:
        return 0
