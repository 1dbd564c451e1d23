"""A registered version's model: from raw records to responses, in training, batch and endpoint alike."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from lakehouse.arrays import Floats, MatrixFormat
from scoring.compiled import Compiled, load_compiled
from scoring.contract import ContractViolation
from scoring.encoder import Encoder
from scoring.encodings import ENCODINGS, FeatureColumns
from scoring.hooks import NO_HOOKS, Fields, HookFailed, Hooks, Record, Response
from scoring.hooks.columns import Columns, responses_of
from scoring.hooks.fields import fields_of
from scoring.pipeline_file import load_pipeline
from scoring.row_reader import EncodedRow, RowReader
from scoring.tasks import BINARY, TASKS, Classes, Task

Made = TypeVar("Made", bound=Record)

PIPELINE, SCORER = "pipeline.skops", "scorer.json"


@dataclass(frozen=True)
class RejectedRecord:
    """A record without a response; the reason mentions no other record."""

    reason: str


@dataclass(frozen=True)
class ResponseFormat:
    """The fields of a response, and how a prediction becomes them.

    Attributes:
        fields: in order. For classes: `label`, `probability` (of label 1 among two classes, else of the predicted
            class) and `probabilities`, a field for each class. For numbers: `value`.
        threshold: decision threshold of a binary task.
        classes: label of each class index.
    """

    fields: tuple[str, ...]
    threshold: float
    task: Task = BINARY
    classes: Classes = (0, 1)

    def columns(self, predicted: Floats) -> Columns:
        """A value of each field for each prediction."""
        columns: Columns = {}
        for field in self.fields:
            columns |= self.task.columns(field, predicted, self.classes, self.threshold)
        return columns

    def responses(self, predicted: Floats) -> list[Response]:
        """A response for each prediction."""
        return responses_of(self.columns(predicted))

    def samples(self) -> list[Response]:
        """Responses of every kind that a model may give; they show the fields before a model exists."""
        return self.responses(self.task.samples(len(self.classes)))


@dataclass(frozen=True)
class Scorer:
    """A fitted pipeline with everything that turns raw records into responses.

    Attributes:
        pipeline: None where the version was loaded with its compiled model.
        matrix_format: format of the rows that the pipeline was fitted on.
        compiled: replaces the pipeline in batches and requests alike.
    """

    pipeline: Any
    encoder: Encoder
    response_format: ResponseFormat
    hooks: Hooks = NO_HOOKS
    matrix_format: MatrixFormat = "sparse"
    compiled: Compiled | None = None

    def predict(self, features: FeatureColumns) -> Floats:
        """A prediction for each row of feature columns, as the gold table has them."""
        if self.compiled is not None:
            return self.compiled.predict_many(self.encoder.table(features))
        task, columns = self.response_format.task, features
        if is_single := all(len(values) == 1 for values in features.values()):
            # Of a single row, scikit-learn sums eight classes and more in another order than of several rows.
            columns = {name: np.repeat(values, 2) for name, values in features.items()}
        predicted = task.predict(self.pipeline, self.encoder.inputs(self.matrix_format, columns))
        return predicted[:1] if is_single else predicted

    def respond(self, records: Sequence[Record]) -> list[Response]:
        """A response for each raw record.

        Raises:
            ContractViolation: a record breaks the input contract.
            HookFailed: a hook of the use case failed at a record.
        """
        read = records
        if self.hooks.preprocess is not None:
            read = [self.hooks.before(row, record) for row, record in enumerate(records)]
        return self.respond_to_rows(self._reader.matrix(read), records)

    def respond_to_rows(self, rows: Sequence[EncodedRow] | Floats, records: Sequence[Record]) -> list[Response]:
        """A response for each row of features; `records` are the caller's.

        Raises:
            HookFailed: the hook after the model failed at a record.
        """
        return self.hooks.after_columns(self.response_format.columns(self._predicted(rows)), records)

    def outcomes(self, records: Sequence[Record]) -> list[Response | RejectedRecord]:
        """For each raw record, as if it were sent alone, its response or the reason for its rejection."""
        read = [_outcome(self._read, record) for record in records]
        pairs = zip(read, records, strict=True)
        valid = [(row, record) for row, record in pairs if not isinstance(row, RejectedRecord)]
        predicted = self._predicted(self._reader.rows([row for row, _ in valid]))
        outcomes = iter(self._after_hook(predicted, [record for _, record in valid]))
        return [row if isinstance(row, RejectedRecord) else next(outcomes) for row in read]

    def outcomes_of_features(
        self, features: FeatureColumns, records: Sequence[Record]
    ) -> list[Response | RejectedRecord]:
        """Responses or rejections for rows of features that were looked up; `records` identify the rows."""
        return self._after_hook(self.predict(features), records)

    @property
    def inline_rows(self) -> int:
        """Up to this many rows are predicted in the calling thread; 0 if encoding a row takes milliseconds."""
        is_slow = any(encoding.packages for encoding in self.encoder.encodings)
        return 0 if self.compiled is None or is_slow else self.compiled.inline_rows

    def fields(self) -> Fields:
        """The fields of every response."""
        return self.hooks.response_fields or fields_of(self.response_format.samples()[0])

    def _read(self, record: Record) -> Record:
        read = self.hooks.before(0, record)
        self._reader.rows([read])
        return read

    @cached_property
    def _reader(self) -> RowReader:
        return RowReader(self.encoder)

    def _predicted(self, rows: Sequence[EncodedRow] | Floats) -> Floats:
        if len(rows) == 0:  # a pipeline refuses an empty matrix
            return self.response_format.task.samples(len(self.response_format.classes))[:0]
        if self.compiled is not None and len(rows) == 1:
            return np.asarray([self.compiled.predict_one(rows[0])])
        values = self.encoder.table_of(rows)
        if self.compiled is not None:
            return self.compiled.predict_many(values)
        return self.predict(self.encoder.columns_of(values))

    def _after_hook(self, predicted: Floats, records: Sequence[Record]) -> list[Response | RejectedRecord]:
        columns = self.response_format.columns(predicted)
        if (together := self.hooks.together(columns)) is not None:
            return [*together]
        pairs = zip(responses_of(columns), records, strict=True)
        return [_outcome(self.hooks.after, 0, response, record) for response, record in pairs]

    def save(self, folder: Path) -> dict[str, str]:
        """Write the artifacts into an existing folder; return the path of each by name."""
        import skops.io

        skops.io.dump(self.pipeline, folder / PIPELINE)
        description = {
            "encodings": ENCODINGS.dump_python(self.encoder.encodings, mode="json", by_alias=True),
            "unknown_categories": self.encoder.unknown_categories,
            "vocabularies": {name: list(categories) for name, categories in self.encoder.vocabularies.items()},
            "features": list(self.encoder.features),
            "fields": list(self.response_format.fields),
            "threshold": self.response_format.threshold,
            "task": self.response_format.task.name,
            "classes": list(self.response_format.classes),
            "matrix_format": self.matrix_format,
            "hooks": self.hooks.description(),
        }
        (folder / SCORER).write_text(json.dumps(description, indent=1), encoding="utf-8")
        written = {name: str(folder / name) for name in (PIPELINE, SCORER)} | self.hooks.save(folder)
        for encoding in self.encoder.encodings:
            for name, content in encoding.files().items():
                (folder / name).write_bytes(content)
                written[name] = str(folder / name)
        return written | (self.compiled.save(folder) if self.compiled is not None else {})

    @classmethod
    def load(cls, artifacts: Mapping[str, str]) -> Self:
        """Read the artifacts. Of their content only the hooks are executed.

        Raises:
            ArtifactRefused: the pipeline holds types that are not trusted.
            HookRefused: the code of a hook does not run here.
            EmbedderMissing, EmbedderChanged: an embedding model cannot be opened.
        """
        description = json.loads(Path(artifacts[SCORER]).read_text(encoding="utf-8"))
        encoder = Encoder(
            ENCODINGS.validate_python(description["encodings"]),
            description["vocabularies"],
            tuple(description["features"]),
            description.get("unknown_categories", "refuse"),
        )
        for encoding in encoder.encodings:
            encoding.require_files(artifacts)
        response_format = ResponseFormat(
            tuple(description["fields"]),
            description["threshold"],
            TASKS[description["task"]],
            tuple(description["classes"]),
        )
        compiled = load_compiled(artifacts)
        return cls(
            load_pipeline(Path(artifacts[PIPELINE])) if compiled is None else None,
            encoder,
            response_format,
            Hooks.load(description["hooks"], artifacts),
            description["matrix_format"],
            compiled,
        )


def _outcome(function: Callable[..., Made], *arguments: object) -> Made | RejectedRecord:
    try:
        return function(*arguments)
    except ContractViolation as err:
        return RejectedRecord(
            "; ".join(f"{each.field}: expected {each.expected}, got {each.got}" for each in err.problems)
        )
    except HookFailed as err:
        return RejectedRecord(f"the hook {err.hook} {err.reason}")
