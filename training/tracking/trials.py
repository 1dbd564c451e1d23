"""Trials as nested runs, written beside the search: three writes each, in a thread of their own."""

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
from training.tracking.journal import TrialJournal

UNREACHABLE = (MlflowException, RequestException)
FINISHED: Mapping[TrialStatus, str] = {"ok": "FINISHED", "pruned": "FINISHED"}
TAG_LENGTH = 4000  # of 5,000 that every MLflow takes
TRIAL, STATUS, ERROR, RECORD = "trial", "status", "error", "record"


class TrialLog:
    """Takes each trial as it ends: to the journal at once, to MLflow as soon as it answers.

    While MLflow does not answer the search goes on, and each new trial tries again for all that wait.
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
        """Keep the trial."""
        self._journal.add(trial)
        self._arrived.put(trial)

    @property
    def run_id(self) -> str:
        return str(self._parent.info.run_id)

    def warning(self) -> str | None:
        """Once, that MLflow does not answer."""
        if self._failure is None or self._warned:
            return None
        self._warned = True
        return f"MLflow does not answer; trials are kept in {self._journal.path} until it does"

    def close(self) -> None:
        """Write what waits; the journal stays where that fails.

        Raises:
            MlflowException, RequestException: MLflow does not answer, or refuses.
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
        except Exception as err:  # noqa: BLE001  (raised again by `close`: a thread has nobody to tell)
            self._defect = err

    def _deliver(self) -> None:
        try:
            if self._failure is not None:  # what was under way may be there in part
                deliver(self._client, self._parent, self._waiting, self._seed)
                self._waiting.clear()
            while self._waiting:
                log_trial(self._client, self._parent, self._waiting[0], self._seed)
                self._waiting.pop(0)
            self._failure = None
        except UNREACHABLE as err:
            self._failure = err


def log_trial(client: MlflowClient, parent: Run, trial: Trial, seed: int, begun: str | None = None) -> None:
    """The trial as a run nested in `parent`, under a name that MLflow gives; or as the run `begun`, which it ends."""
    end = int(time.time() * 1000)
    seconds = trial.duration.total_seconds()
    if begun is None:
        start = end - int(seconds * 1000)
        begun = client.create_run(parent.info.experiment_id, start_time=start, tags=_tags(parent, trial)).info.run_id
    metrics = [Metric(name, value, end, 0) for name, value in (trial.metrics | {"duration_s": seconds}).items()]
    metrics += [
        Metric(f"fold_{name}", value, end, step)
        for step, fold in enumerate(trial.per_fold, start=1)
        for name, value in fold.items()
    ]
    params = {"family": trial.candidate.family, "seed": seed, **trial.candidate.params}
    client.log_batch(begun, metrics=metrics, params=[Param(name, str(value)) for name, value in params.items()])
    client.set_terminated(begun, FINISHED.get(trial.status, "FAILED"), end_time=end)


def trials_of(client: MlflowClient, parent: Run) -> list[Trial]:
    """The trials of a run, as they were before they were logged, in order of their numbers."""
    trials = {trial.number: trial for trial in map(_read, _nested(client, parent)) if trial}
    return [trials[number] for number in sorted(trials)]


def deliver(client: MlflowClient, parent: Run, trials: Sequence[Trial], seed: int) -> None:
    """Log those of the trials that the run does not have yet, or has in part."""
    there = {run.data.tags.get(TRIAL): run.info for run in _nested(client, parent)}
    for trial in trials:
        info = there.get(str(trial.number))
        if info is None or info.status == "RUNNING":
            log_trial(client, parent, trial, seed, begun=None if info is None else info.run_id)


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
    text = record.written(trial)
    starts = range(0, len(text), TAG_LENGTH)
    return {
        MLFLOW_PARENT_RUN_ID: parent.info.run_id,
        TRIAL: str(trial.number),
        STATUS: trial.status,
        **({} if trial.error is None else {ERROR: trial.error[:TAG_LENGTH]}),
        **({} if commit is None else {MLFLOW_GIT_COMMIT: commit}),
        **{f"{RECORD}.{part}": text[start : start + TAG_LENGTH] for part, start in enumerate(starts)},
    }


def _read(run: Run) -> Trial | None:
    """The trial that a nested run holds; None where it is no trial's."""
    parts: list[str] = []
    while (part := run.data.tags.get(f"{RECORD}.{len(parts)}")) is not None:
        parts.append(part)
    return record.read("".join(parts)) if parts else None
