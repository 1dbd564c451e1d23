"""A loaded version: its predictions on a holdout, its inputs, and the replay of its golden request."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.types import ColSpec

from deployment.gate.criteria.decision import Measurements, ModelInput, Scores
from deployment.gate.holdout import Holdout
from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError
from scoring.encodings import FeatureColumns
from scoring.golden import REQUEST, RESPONSE, as_rows, nearly_equal
from scoring.pyfunc import ScoringModel
from scoring.registered_files import fetch
from scoring.scorer import Scorer
from scoring.tasks import Classes
from training.population.population import FILE
from training.use_case.promotion import GuardLimits

WARM_UP, RESPONSES = 20, 300  # responses before the measurement, and within it
Nanoseconds = Callable[[], int]


class VersionBroken(LakehouseError):
    """A version does not load, does not respond, or differs from the registered one."""

    @classmethod
    def of(cls, version: ModelVersion, problem: object) -> "VersionBroken":
        return cls(
            f"version {version.version} of {version.name} cannot be used: {problem}",
            hint="Restore its files, choose another version, or train one: "
            f"python -m training.run --use-case {version.name}",
        )


@dataclass(frozen=True)
class LoadedVersion:
    """A registered version with its scorer.

    Attributes:
        version: the version in the registry.
        scorer: its model.
        size: size of its files, in bytes.
        inputs: its input columns; None if it declares none.
        metadata: metadata registered with it, such as the golden request and its responses.
    """

    version: ModelVersion
    scorer: Scorer
    size: int
    inputs: Mapping[str, ModelInput] | None
    metadata: Mapping[str, Any]

    @classmethod
    def load(cls, version: ModelVersion) -> "LoadedVersion":
        """Read a version whose files match the registry's checksums: the gate decides on the files that are served.

        Raises:
            VersionBroken: its files are missing, damaged or replaced, or are not a scoring model of this project.
        """
        with tempfile.TemporaryDirectory() as directory:
            try:
                folder = fetch(version, Path(directory), allow_unverified=False)
                size = _size(folder)
                loaded = mlflow.pyfunc.load_model(str(folder))
                model = loaded.unwrap_python_model()
            except Exception as err:  # every reader raises another error for damaged files
                raise VersionBroken.of(version, err) from err
        if not isinstance(model, ScoringModel):
            raise VersionBroken.of(version, f"it is a {type(model).__name__}, not a scoring model of this project")
        return cls(version, model.scorer, size, _inputs(loaded.metadata), loaded.metadata.metadata or {})

    def scores(
        self, holdout: Holdout, limits: GuardLimits | None = None, features: FeatureColumns | None = None
    ) -> Scores:
        """Its predictions of the rows, with measurements for the guards. Only a limit requires the response time.

        Args:
            features: its own features of the rows; None for those of the holdout.

        Raises:
            VersionBroken: it does not predict.
        """
        predicted = self._predicted(holdout, holdout.rows.features if features is None else features)
        p99 = self.p99_ms() if limits and limits.max_p99_ms is not None else None
        measured = Measurements(p99, self.size / 1e6, self.inputs)
        threshold = self.scorer.response_format.threshold
        return Scores(int(self.version.version), holdout.fingerprint, predicted, measured, threshold)

    def p99_ms(self, clock: Nanoseconds = time.perf_counter_ns) -> float:
        """The 99th percentile of the response time for its golden request, in milliseconds.

        Raises:
            VersionBroken: it does not respond.
        """
        self.replay()
        request, durations = as_rows(self.metadata[REQUEST])[0], []
        for _ in range(WARM_UP + RESPONSES):
            begin = clock()
            self.scorer.respond([request])
            durations.append(clock() - begin)
        return float(np.quantile(durations[WARM_UP:], 0.99)) / 1e6

    def replay(self) -> None:
        """Replay its golden request, and compare the responses with the registered ones.

        Raises:
            VersionBroken: it has no golden request, rejects it, or responds differently.
        """
        if REQUEST not in self.metadata or RESPONSE not in self.metadata:
            raise VersionBroken.of(self.version, "it has no golden request and responses")
        rows, expected_responses = as_rows(self.metadata[REQUEST]), as_rows(self.metadata[RESPONSE])
        if not 0 < len(rows) == len(expected_responses):
            problem = f"it has {len(rows)} golden rows and {len(expected_responses)} responses"
            raise VersionBroken.of(self.version, problem)
        try:
            responses = self.scorer.respond(rows)
        except LakehouseError as err:
            raise VersionBroken.of(self.version, f"it rejects its golden request: {err.failed}") from err
        except (ValueError, TypeError, IndexError) as err:
            raise VersionBroken.of(self.version, f"it does not respond to its golden request: {err}") from err
        for response, expected in zip(responses, expected_responses, strict=True):
            if not nearly_equal(response, expected):
                problem = f"it responds to its golden request with {response}; registered was {expected}"
                raise VersionBroken.of(self.version, problem)

    def _predicted(self, holdout: Holdout, features: FeatureColumns) -> Floats:
        if missing := sorted(set(self.scorer.encoder.features) - set(features)):
            raise VersionBroken.of(self.version, f"it needs features that the tables lack: {', '.join(missing)}")
        model, rows = self.scorer.response_format, holdout.rows
        if model.task != rows.task:
            raise VersionBroken.of(self.version, f"its task is {model.task}, but the use case's is {rows.task}")
        try:
            predicted = self.scorer.predict(features)
        except (ValueError, TypeError, IndexError) as err:
            raise VersionBroken.of(self.version, f"it cannot predict the holdout: {err}") from err
        return align_classes(predicted, model.classes, rows.classes)


def align_classes(predicted: Floats, known: Classes, expected: Classes) -> Floats:
    """Probabilities of the `known` classes in the order of the `expected` ones; 0 for an unknown class.

    The use case may have listed its classes in another order, or fewer of them, when a version was trained. The
    probability of a removed class is dropped; rows then no longer sum to 1, and the version is not compared.

    >>> align_classes(np.asarray([[0.7, 0.2, 0.1]]), ("a", "b", "c"), ("c", "a", "b", "d")).tolist()
    [[0.1, 0.7, 0.2, 0.0]]
    """
    if known == expected or predicted.ndim != 2 or predicted.shape[1] != len(known):
        return predicted
    zeros = np.zeros(len(predicted))
    columns = [predicted[:, known.index(each)] if each in known else zeros for each in expected]
    return np.stack(columns, axis=1)


def _size(folder: Path) -> int:
    """The size of the model without the project's code, to which Python adds files, and without its population."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(
        file.stat().st_size for file in files if file.relative_to(folder).parts[0] != "code" and file.name != FILE
    )


def _inputs(metadata: Any) -> dict[str, ModelInput] | None:
    schema = metadata.get_input_schema()
    if schema is None:
        return None
    columns = [column for column in schema.inputs if isinstance(column, ColSpec)]
    return {str(column.name): ModelInput(str(column.type), bool(column.required)) for column in columns}
