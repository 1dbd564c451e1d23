"""A registered version, loaded: what it says about a holdout, what it takes, whether it answers as it once did."""

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

from deployment.gate.decision import Measured, ModelInput, Scores
from deployment.gate.holdout import Holdout
from lakehouse.arrays import Floats
from lakehouse.errors import LakehouseError
from scoring.golden import ANSWER, REQUEST, agree, rows_of
from scoring.pyfunc import ScoringModel
from scoring.registered_files import fetch
from scoring.scorer import Scorer
from training.frame.frame import Classes
from training.use_case.promotion import GuardLimits

WARM_UP, ANSWERS = 20, 300
Nanoseconds = Callable[[], int]


class VersionBroken(LakehouseError):
    """A version does not load, does not answer, or is not what was registered."""

    @classmethod
    def of(cls, version: ModelVersion, problem: object) -> "VersionBroken":
        return cls(
            f"version {version.version} of {version.name} cannot be used: {problem}",
            hint="Put its files back, name another version, or train one: "
            f"python -m training.run --use-case {version.name}",
        )


@dataclass(frozen=True)
class LoadedVersion:
    """A version with what it is made of.

    Attributes:
        version: as the registry has it.
        scorer: what answers.
        size: of its files, in bytes.
        inputs: what its callers send; None where it does not say.
        metadata: what was registered with it: for one the golden request and its answer.
    """

    version: ModelVersion
    scorer: Scorer
    size: int
    inputs: Mapping[str, ModelInput] | None
    metadata: Mapping[str, Any]

    @classmethod
    def load(cls, version: ModelVersion) -> "LoadedVersion":
        """Read a version from the registry, which must vouch for its files: what is judged is what will be served.

        Raises:
            VersionBroken: its files are gone, damaged or exchanged, or are no scoring model of this project.
        """
        with tempfile.TemporaryDirectory() as place:
            try:
                folder = fetch(version, Path(place), unvouched=False)
                size = _size(folder)
                loaded = mlflow.pyfunc.load_model(str(folder))
                model = loaded.unwrap_python_model()
            except Exception as err:  # of damaged files, every reader says something else
                raise VersionBroken.of(version, err) from err
        if not isinstance(model, ScoringModel):
            raise VersionBroken.of(version, f"it is a {type(model).__name__} and no scoring model of this project")
        return cls(version, model.scorer, size, _inputs(loaded.metadata), loaded.metadata.metadata or {})

    def scores(self, holdout: Holdout, limits: GuardLimits | None = None) -> Scores:
        """What it says about the rows, and what the guards look at; without limits, its time is not taken.

        Raises:
            VersionBroken: it does not answer.
        """
        predicted = self._predicted(holdout)
        p99 = self.p99_ms() if limits and limits.max_p99_ms is not None else None
        measured = Measured(p99, self.size / 1e6, self.inputs)
        threshold = self.scorer.answering.threshold
        return Scores(int(self.version.version), holdout.fingerprint, predicted, measured, threshold)

    def p99_ms(self, clock: Nanoseconds = time.perf_counter_ns) -> float:
        """The 99th percentile of the time that it takes to answer its golden request, in milliseconds.

        Raises:
            VersionBroken: it does not answer it.
        """
        self.replay()
        request, taken = rows_of(self.metadata[REQUEST])[0], []
        for _ in range(WARM_UP + ANSWERS):
            begin = clock()
            self.scorer.answer([request])
            taken.append(clock() - begin)
        return float(np.quantile(taken[WARM_UP:], 0.99)) / 1e6

    def replay(self) -> None:
        """Let it answer its golden request: one row or several, as it was registered.

        Raises:
            VersionBroken: it has none, refuses it, or answers differently from when it was registered.
        """
        if REQUEST not in self.metadata or ANSWER not in self.metadata:
            raise VersionBroken.of(self.version, "it brings no golden request and answer along")
        rows, answers = rows_of(self.metadata[REQUEST]), rows_of(self.metadata[ANSWER])
        if not 0 < len(rows) == len(answers):
            problem = f"it brings {len(rows)} golden rows and {len(answers)} answers along"
            raise VersionBroken.of(self.version, problem)
        try:
            found = self.scorer.answer(rows)
        except LakehouseError as err:
            raise VersionBroken.of(self.version, f"it refuses its golden request: {err.failed}") from err
        except (ValueError, TypeError, IndexError) as err:
            raise VersionBroken.of(self.version, f"it does not answer its golden request: {err}") from err
        for now, then in zip(found, answers, strict=True):
            if not agree(now, then):
                problem = f"it answers its golden request with {now}, and answered {then} when registered"
                raise VersionBroken.of(self.version, problem)

    def _predicted(self, holdout: Holdout) -> Floats:
        if missing := sorted(set(self.scorer.encoder.features) - set(holdout.rows.features)):
            raise VersionBroken.of(self.version, f"it needs features that the tables lack: {', '.join(missing)}")
        answering, rows = self.scorer.answering, holdout.rows
        if answering.task != rows.task:
            raise VersionBroken.of(self.version, f"it answers a {answering.task} task, and this is {rows.task}")
        try:
            predicted = self.scorer.predicted(rows.features)
        except (ValueError, TypeError, IndexError) as err:
            raise VersionBroken.of(self.version, f"it does not score the holdout: {err}") from err
        return placed(predicted, answering.classes, rows.classes) if rows.task == "multiclass" else predicted


def placed(predicted: Floats, said: Classes, wanted: Classes) -> Floats:
    """Probabilities of the `said` classes in the order of the `wanted` ones; 0 of a class that nobody said.

    The use case may have named its classes in another order when a version was trained, or fewer of them. What a
    version gives to a class that there is no more is lost, and its rows no longer sum to 1: it is not compared.

    >>> placed(np.asarray([[0.7, 0.2, 0.1]]), ("a", "b", "c"), ("c", "a", "b", "d")).tolist()
    [[0.1, 0.7, 0.2, 0.0]]
    """
    if said == wanted or predicted.ndim != 2 or predicted.shape[1] != len(said):
        return predicted
    nothing = np.zeros(len(predicted))
    return np.stack([predicted[:, said.index(each)] if each in said else nothing for each in wanted], axis=1)


def _size(folder: Path) -> int:
    """Of the model alone: the code beside it is the project's, and Python adds to it when it is loaded."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sum(file.stat().st_size for file in files if file.relative_to(folder).parts[0] != "code")


def _inputs(metadata: Any) -> dict[str, ModelInput] | None:
    schema = metadata.get_input_schema()
    if schema is None:
        return None
    columns = [column for column in schema.inputs if isinstance(column, ColSpec)]
    return {str(column.name): ModelInput(str(column.type), bool(column.required)) for column in columns}
