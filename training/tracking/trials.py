"""Trials as nested MLflow runs, logged in the background: three writes for each trial, in a separate thread."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID
from requests import RequestException

from training.search import record
from training.search.trial import Trial, TrialStatus
from training.tracking.unlogged_trials import TrialJournal

UNREACHABLE = (MlflowException, RequestException)
FINISHED: Mapping[TrialStatus, str] = {"ok": "FINISHED", "pruned": "FINISHED"}
TAG_LENGTH = 4000  # MLflow accepts 5,000 characters or more
TRIAL, STATUS, ERROR, RECORD = "trial", "status", "error", "record"


class TrialLog:
    """Logs each trial as it ends: to the journal at once, to MLflow as soon as it responds.

    The search continues while MLflow does not respond, and each new trial triggers another attempt.
    """

    def __init__(self, client: MlflowClient, parent: Run, seed: int, journal: TrialJournal) -> None:
        self._client, self._parent, self._seed, self._journal = client, parent, seed, journal
        self._arrived: queue.SimpleQueue[Trial | None] = queue.SimpleQueue()
        self._waiting: list[Trial] = []
        self._failure: Exception | None = None
        self._defect: Exception | None = None
        self._warned = False
        self._thread = threading.Thread(target=self._write, name="trials to MLflow", daemon=True)
        self._thread.start()

    def add(self, trial: Trial) -> None:
        """Log the trial."""
        self._journal.add(trial)
        self._arrived.put(trial)

    @property
    def run_id(self) -> str:
        return str(self._parent.info.run_id)

    def warning(self) -> str | None:
        """A warning that MLflow does not respond; only once."""
        if self._failure is None or self._warned:
            return None
        self._warned = True
        return f"MLflow does not respond; trials are kept in {self._journal.path} until it does"

    def close(self) -> None:
        """Log all waiting trials; the journal stays if that fails.

        Raises:
            MlflowException, RequestException: MLflow does not respond, or refuses a write.
        """
        self._arrived.put(None)
        self._thread.join()
        if self._defect is None:
            self._deliver()
        failure = self._defect or self._failure
        self._journal.close(delete=failure is None)
        if failure is not None:
            raise failure

    def _write(self) -> None:
        try:
            while (trial := self._arrived.get()) is not None:
                self._waiting.append(trial)
                self._deliver()
        except Exception as err:  # noqa: BLE001  (raised by `close`, in the thread of the caller)
            self._defect = err

    def _deliver(self) -> None:
        try:
            if self._failure is not None:  # the trial of the failed write may be partly logged
                log_missing(self._client, self._parent, self._waiting, self._seed)
                self._waiting.clear()
            while self._waiting:
                log_trial(self._client, self._parent, self._waiting[0], self._seed)
                self._waiting.pop(0)
            self._failure = None
        except UNREACHABLE as err:
            self._failure = err


def log_trial(client: MlflowClient, parent: Run, trial: Trial, seed: int, run_id: str | None = None) -> None:
    """Log the trial as a new run nested in `parent`, or complete the run `run_id`."""
    end = int(time.time() * 1000)
    seconds = trial.duration.total_seconds()
    if run_id is None:
        start = end - int(seconds * 1000)
        run_id = client.create_run(parent.info.experiment_id, start_time=start, tags=_tags(parent, trial)).info.run_id
    metrics = [Metric(name, value, end, 0) for name, value in (trial.metrics | {"duration_s": seconds}).items()]
    metrics += [
        Metric(f"fold_{name}", value, end, step)
        for step, fold in enumerate(trial.per_fold, start=1)
        for name, value in fold.items()
    ]
    params = {"family": trial.candidate.family, "seed": seed, **trial.candidate.params}
    client.log_batch(run_id, metrics=metrics, params=[Param(name, str(value)) for name, value in params.items()])
    client.set_terminated(run_id, FINISHED.get(trial.status, "FAILED"), end_time=end)


def trials_of(client: MlflowClient, parent: Run) -> list[Trial]:
    """Read the logged trials of a run back, in order of their numbers."""
    trials = {trial.number: trial for trial in map(_read, _nested(client, parent)) if trial}
    return [trials[number] for number in sorted(trials)]


def log_missing(client: MlflowClient, parent: Run, trials: Sequence[Trial], seed: int) -> None:
    """Log the trials that the run lacks, or has only in part."""
    logged = {run.data.tags.get(TRIAL): run.info for run in _nested(client, parent)}
    for trial in trials:
        info = logged.get(str(trial.number))
        if info is None or info.status == "RUNNING":
            log_trial(client, parent, trial, seed, run_id=None if info is None else info.run_id)


def _nested(client: MlflowClient, parent: Run) -> Iterator[Run]:
    info, token = parent.info, None
    children = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{info.run_id}'"
    while True:
        page = client.search_runs([info.experiment_id], children, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _tags(parent: Run, trial: Trial) -> dict[str, str]:
    commit = parent.data.tags.get(MLFLOW_GIT_COMMIT)
    text = record.to_json(trial)
    starts = range(0, len(text), TAG_LENGTH)
    return {
        MLFLOW_PARENT_RUN_ID: parent.info.run_id,
        TRIAL: str(trial.number),
        STATUS: trial.status,
        **({"origin": trial.origin} if trial.origin else {}),
        **({} if trial.error is None else {ERROR: trial.error[:TAG_LENGTH]}),
        **({} if commit is None else {MLFLOW_GIT_COMMIT: commit}),
        **{f"{RECORD}.{index}": text[start : start + TAG_LENGTH] for index, start in enumerate(starts)},
    }


def _read(run: Run) -> Trial | None:
    """The trial of a nested run; None if the run is not a trial."""
    chunks: list[str] = []
    while (chunk := run.data.tags.get(f"{RECORD}.{len(chunks)}")) is not None:
        chunks.append(chunk)
    return record.from_json("".join(chunks)) if chunks else None
