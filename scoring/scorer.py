"""From a raw record to an answer: what every registered version is made of, in training, batch and endpoint alike."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError
from scoring.compiled import Compiled, load_compiled
from scoring.contract import ContractViolation
from scoring.encoder import Encoder, MatrixFormat
from scoring.encodings import ENCODINGS, FeatureColumns
from scoring.hooks import NO_HOOKS, Answer, Fields, HookFailed, Hooks, Record
from scoring.hooks.fields import fields_of
from scoring.predictions import Task, decided
from scoring.row_reader import EncodedRow, RowReader

Made = TypeVar("Made", bound=Record)

PIPELINE, SCORER = "pipeline.skops", "scorer.json"

# What an answer may be made of; without a word of the use case it is the first two.
FIELDS: Mapping[Task, tuple[str, ...]] = {
    "binary": ("label", "probability"),
    "multiclass": ("label", "probability", "probabilities"),
    "regression": ("value",),
}

# What our own families may bring that skops does not trust by itself. Anything else in a file is refused; of a
# function with arguments (`functools.partial`) the function too. Boosters are read by the readers of their libraries.
TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "functools.partial",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.arcsinh",
        "numpy.ufunc",
        "scipy.sparse._csr.csr_matrix",  # the rows that nearest neighbours keep, where they are too many to be dense
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.tree._tree.Tree",
        "sklearn.utils.validation.check_array",
        "scoring.estimators.blend.Blend",
        "scoring.estimators.calibrated.Calibrated",
        "scoring.estimators.catboost.CatBoost",
        "scoring.estimators.dense_where_small.DenseWhereSmall",
        "scoring.estimators.column_subset.ColumnSubset",
        "scoring.estimators.lightgbm.LightGbm",
        "scoring.estimators.xgboost.XgBoost",
        "scoring.estimators.neighbour_weights.by_distance",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)


class ArtifactRefused(LakehouseError):
    """A model file holds types that no family of ours writes."""

    @classmethod
    def untrusted(cls, path: Path, types: Sequence[str]) -> "ArtifactRefused":
        return cls(
            f"{path} holds types that are not trusted: {', '.join(types)}",
            hint="Train the version again; if a new family needs them, add them to scoring.scorer.TRUSTED.",
        )


@dataclass(frozen=True)
class Refused:
    """Why a record has no answer, in words that say nothing of the records beside it."""

    reason: str


@dataclass(frozen=True)
class Answering:
    """What an answer is made of: its fields in order, and how a prediction becomes a label.

    Attributes:
        fields: of a class its `label`, its `probability` (of two classes, that of label 1) and the `probabilities` of
            all, a field each; of a regression the `value`.
        threshold: from which probability on a binary label is 1.
        classes: the label of each place.
    """

    fields: tuple[str, ...]
    threshold: float
    task: Task = "binary"
    classes: tuple[int | str, ...] = (0, 1)

    def answers(self, predicted: Floats) -> list[Answer]:
        """One answer for each prediction, in the task's form."""
        columns = {name: values for field in self.fields for name, values in self._columns(field, predicted).items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def samples(self) -> list[Answer]:
        """Answers of every kind that a model may give, for whoever must know their fields before there is a model."""
        return self.answers(np.eye(len(self.classes)) if self.task == "multiclass" else np.asarray([0.0, 0.5, 1.0]))

    def _columns(self, field: str, predicted: Floats) -> dict[str, list[Any]]:
        if field == "label":
            return {field: [self.classes[place] for place in decided(predicted, self.threshold).tolist()]}
        if field == "probabilities":
            return {f"probability_{label}": predicted[:, place].tolist() for place, label in enumerate(self.classes)}
        return {field: (predicted.max(axis=1) if predicted.ndim > 1 else predicted).tolist()}


def predict(pipeline: Any, task: Task, inputs: Any) -> Floats:
    """What a fitted pipeline says, in the task's form."""
    if task == "regression":
        return np.asarray(pipeline.predict(inputs), dtype=np.float64)
    probabilities = np.asarray(pipeline.predict_proba(inputs), dtype=np.float64)
    return probabilities[:, 1] if task == "binary" else probabilities


@dataclass(frozen=True)
class Scorer:
    """A fitted pipeline with all it needs to answer raw records.

    Attributes:
        pipeline: None where a version was read that answers by its compiled form.
        takes: the form of rows that the pipeline was fitted on.
        compiled: what answers in the pipeline's place, in batches and requests alike.
    """

    pipeline: Any
    encoder: Encoder
    answering: Answering
    hooks: Hooks = NO_HOOKS
    takes: MatrixFormat = "sparse"
    compiled: Compiled | None = None

    def predicted(self, features: FeatureColumns) -> Floats:
        """What is predicted of each row of feature columns, as the gold table has them; in the task's form."""
        if self.compiled is not None:
            return self.compiled.many(self.encoder.dense(features))
        return predict(self.pipeline, self.answering.task, self.encoder.inputs(self.takes, features))

    def answer(self, records: Sequence[Record]) -> list[Answer]:
        """One answer for each raw record.

        Raises:
            ContractViolation: a record breaks the input contract.
            HookFailed: a hook of the use case failed at a record.
        """
        read = [self.hooks.before(row, record) for row, record in enumerate(records)]
        return self.answer_rows(self._reader.rows(read), records)

    def answer_rows(self, rows: Sequence[EncodedRow], records: Sequence[Record]) -> list[Answer]:
        """The same for rows of features; `records` are what the caller sent.

        Raises:
            HookFailed: the hook after the model failed at a record.
        """
        answers = zip(self._answers(rows), records, strict=True)
        return [self.hooks.after(row, answer, record) for row, (answer, record) in enumerate(answers)]

    def outcomes(self, records: Sequence[Record]) -> list[Answer | Refused]:
        """For each raw record what `answer` makes of it alone: its answer, or why it has none."""
        read = [_outcome(self._read, record) for record in records]
        pairs = zip(read, records, strict=True)
        good = [(made, record) for made, record in pairs if not isinstance(made, Refused)]
        answers = self._answers(self._reader.rows([made for made, _ in good]))
        outcomes = iter(self._worded(answers, [record for _, record in good]))
        return [made if isinstance(made, Refused) else next(outcomes) for made in read]

    def outcomes_of(self, features: FeatureColumns, records: Sequence[Record]) -> list[Answer | Refused]:
        """The same for rows whose features were looked up; `records` say whose they are."""
        return self._worded(self.answering.answers(self.predicted(features)), records)

    def fields(self) -> Fields:
        """The fields of every answer."""
        return self.hooks.answers or fields_of(self.answering.samples()[0])

    def _read(self, record: Record) -> Record:
        read = self.hooks.before(0, record)
        self._reader.rows([read])
        return read

    @cached_property
    def _reader(self) -> RowReader:
        return RowReader(self.encoder)

    def _answers(self, rows: Sequence[EncodedRow]) -> list[Answer]:
        if not rows:  # a pipeline takes no empty matrix
            return []
        if self.compiled is not None and len(rows) == 1:
            return self.answering.answers(np.asarray([self.compiled.one(rows[0])]))
        values = np.asarray(rows)
        if self.compiled is not None:
            return self.answering.answers(self.compiled.many(values))
        columns = dict(zip(self.encoder.features, values.T, strict=True))
        return self.answering.answers(self.predicted(columns))

    def _worded(self, answers: Sequence[Answer], records: Sequence[Record]) -> list[Answer | Refused]:
        pairs = zip(answers, records, strict=True)
        return [_outcome(self.hooks.after, 0, answer, record) for answer, record in pairs]

    def save(self, folder: Path) -> dict[str, str]:
        """Write the artifacts into an existing folder; the path of each by its name."""
        import skops.io

        skops.io.dump(self.pipeline, folder / PIPELINE)
        about = {
            "encodings": ENCODINGS.dump_python(self.encoder.encodings, mode="json", by_alias=True),
            "unknown_categories": self.encoder.unknown_categories,
            "vocabularies": {name: list(words) for name, words in self.encoder.vocabularies.items()},
            "features": list(self.encoder.features),
            "fields": list(self.answering.fields),
            "threshold": self.answering.threshold,
            "task": self.answering.task,
            "classes": list(self.answering.classes),
            "takes": self.takes,
            "hooks": self.hooks.about(),
        }
        (folder / SCORER).write_text(json.dumps(about, indent=1), encoding="utf-8")
        written = {name: str(folder / name) for name in (PIPELINE, SCORER)} | self.hooks.save(folder)
        return written | (self.compiled.save(folder) if self.compiled is not None else {})

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        """Read the artifacts; nothing in them is executed but the hooks, which are code.

        Raises:
            ArtifactRefused: the pipeline holds types that are not trusted.
            HookRefused: the code of a hook does not run here.
        """
        about = json.loads(Path(artifacts[SCORER]).read_text(encoding="utf-8"))
        encoder = Encoder(
            ENCODINGS.validate_python(about["encodings"]),
            about["vocabularies"],
            tuple(about["features"]),
            about.get("unknown_categories", "refuse"),
        )
        answering = Answering(tuple(about["fields"]), about["threshold"], about["task"], tuple(about["classes"]))
        form = load_compiled(artifacts)
        pipeline = _pipeline(Path(artifacts[PIPELINE])) if form is None else None
        return cls(pipeline, encoder, answering, Hooks.load(about["hooks"], artifacts), about["takes"], form)


def _pipeline(path: Path) -> Any:
    import skops.io  # brings scikit-learn along, which a compiled form does without

    types = skops.io.get_untrusted_types(file=path)
    if strange := sorted(set(types) - TRUSTED):
        raise ArtifactRefused.untrusted(path, strange)
    return skops.io.load(path, trusted=types)


def _outcome(function: Callable[..., Made], *arguments: object) -> Made | Refused:
    try:
        return function(*arguments)
    except ContractViolation as err:
        return Refused("; ".join(f"{each.field}: expected {each.expected}, got {each.got}" for each in err.problems))
    except HookFailed as err:
        return Refused(f"the hook {err.hook} {err.reason}")
