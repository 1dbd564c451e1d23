"""A search as an MLflow run: its identity, resuming an interrupted one, and its leaderboard."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import mlflow
from mlflow.entities import LifecycleStage, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.git import git_commit
from lakehouse.settings import Settings
from training.frame.splits import Split
from training.search.trial import Trial
from training.tracking.run_marks import MarkedRun, left_behind_runs, run_mark
from training.tracking.trials import TrialLog, log_missing, trials_of
from training.tracking.unlogged_trials import Header, TrialJournal, left_behind
from training.use_case.use_case import UseCase

LATEST = "latest"
PREFIX = "search."
STOP_REASON = f"{PREFIX}stop_reason"
FINISHED, KILLED, RUNNING = (
    RunStatus.to_string(status) for status in (RunStatus.FINISHED, RunStatus.KILLED, RunStatus.RUNNING)
)
_NOT_SEARCHED: dict[str, Any] = {"search": True, "promotion": True, "serving": {"rollout"}}
CHANGEABLE = {"max_evals", "max_minutes", "executor"}  # settings that may differ when a search is resumed


class NothingToResume(LakehouseError):
    """No interrupted search matches."""

    @classmethod
    def none(cls, use_case: str) -> "NothingToResume":
        return cls(f"{use_case} has no interrupted search", hint="Start a new one: leave out --resume.")

    @classmethod
    def unknown(cls, run_id: str, use_case: str) -> "NothingToResume":
        return cls(f"run {run_id} is not a search of {use_case}", hint="Resume the newest one: --resume latest")

    @classmethod
    def finished(cls, run_id: str) -> "NothingToResume":
        return cls(f"the search of run {run_id} is finished", hint="Start a new one: leave out --resume.")

    @classmethod
    def changed(cls, run_id: str, parts: Sequence[str]) -> "NothingToResume":
        return cls(
            f"changed since the search of run {run_id}: {', '.join(parts)}",
            hint="Its trials cannot be compared with new ones. Start a new search: leave out --resume.",
        )


def search_identity(use_case: UseCase, data: Split) -> dict[str, str]:
    """Identity of a search, by part. Trials of two searches are comparable if all parts are equal."""
    plan = use_case.search
    return {
        "use_case": _digest(
            use_case.model_dump_json(exclude={"search": True, "promotion": True, "serving": {"rollout"}})
        ),
        "settings": plan.model_dump_json(exclude={*CHANGEABLE, "space"}),
        "space": plan.joint_space().fingerprint(),
        "tables": json.dumps(dict(sorted(data.training.sources.items()))),
        "rows": _digest(data.training.fingerprint() + data.holdout.fingerprint()),
    }


def find_unfinished(client: MlflowClient, experiment_id: str, use_case: str, resume: str) -> Run:
    """Find an interrupted search by its run ID, or the `latest`.

    Raises:
        NothingToResume: no interrupted search matches.
    """
    runs = client.search_runs(
        [experiment_id], f"tags.`{PREFIX}space` != ''", max_results=1000, order_by=["attributes.start_time DESC"]
    )
    open_runs = [run for run in runs if run.info.status != FINISHED]
    if resume == LATEST:
        if not open_runs:
            raise NothingToResume.none(use_case)
        return open_runs[0]
    named = [run for run in runs if run.info.run_id == resume]
    if not named:
        raise NothingToResume.unknown(resume, use_case)
    if named[0] not in open_runs:
        raise NothingToResume.finished(resume)
    return named[0]


@contextmanager
def search_run(
    client: MlflowClient, experiment_id: str, identity: Mapping[str, str], resumed: Run | None, settings: Settings
) -> Iterator[Run]:
    """Open the run of a new or resumed search. Ctrl-C marks it KILLED, so that it can be resumed.

    A process that is killed leaves the run RUNNING; the next training ends it.

    Raises:
        NothingToResume: the use case, its search, the table versions or the rows differ from those of `resumed`.
        RunInUse: another process has the run open.
    """
    if resumed is not None:
        _require_same(resumed, identity)
    tags = {PREFIX + part: value for part, value in identity.items()} | _commit_tag()
    run_id = None if resumed is None else resumed.info.run_id
    with ExitStack() as marks:  # a mark outlives the run's end in MLflow
        if run_id is not None:
            marks.enter_context(run_mark(settings.journals, MarkedRun(settings.tracking_uri, run_id)))
        with mlflow.start_run(run_id, experiment_id=experiment_id, tags=tags) as run:
            if run_id is None:
                new_run = MarkedRun(settings.tracking_uri, run.info.run_id)
                marks.enter_context(run_mark(settings.journals, new_run))
            try:
                yield client.get_run(run.info.run_id)
            except KeyboardInterrupt:
                mlflow.end_run(KILLED)
                raise


@contextmanager
def trial_log(client: MlflowClient, run: Run, settings: Settings, seed: int) -> Iterator[TrialLog]:
    """Open the log of a run's trials; all trials are written when the block ends.

    Raises:
        RunInUse: another process is searching for this run.
    """
    journal = TrialJournal.open(settings.journals, Header(settings.tracking_uri, run.info.run_id, seed))
    log = TrialLog(client, run, seed, journal)
    try:
        yield log
    finally:
        log.close()


def log_left_behind(client: MlflowClient, settings: Settings) -> None:
    """Log the trials in journals that ended processes left behind, and end the runs of all ended processes."""
    for journal in left_behind(settings.journals, settings.tracking_uri):
        run_id, trials = journal.header.run_id, journal.trials()
        parent = _run(client, run_id)
        if parent is None:
            console.detail(f"{len(trials)} trials of run {run_id} are dropped: the run was deleted")
        else:
            log_missing(client, parent, trials, journal.header.seed)
            console.detail(f"logged {len(trials)} trials of run {run_id}, whose process ended early")
            if parent.info.status == RUNNING:
                client.set_terminated(run_id, KILLED)
        journal.close(delete=True)
    _end_left_behind(client, settings)


def finished_trials(client: MlflowClient, run: Run | None) -> dict[int, Trial]:
    """Trials of an interrupted search, by number."""
    return {} if run is None else {trial.number: trial for trial in trials_of(client, run)}


def log_leaderboard(client: MlflowClient, run: Run, trials: Sequence[Trial], metric: str) -> None:
    """Log a table of all trials, best first."""
    ranked = sorted(trials, key=lambda trial: (trial.loss(metric), trial.number))
    rows = [
        {
            "trial": trial.number,
            "status": trial.status,
            "family": trial.candidate.family,
            **trial.metrics,
            "duration_s": trial.duration.total_seconds(),
            "params": json.dumps(dict(trial.candidate.params)),
            "error": trial.error,
        }
        for trial in ranked
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = {name: [row.get(name) for row in rows] for name in columns}
    client.log_table(run.info.run_id, table, "leaderboard.json")


def _end_left_behind(client: MlflowClient, settings: Settings) -> None:
    """End the runs of training processes that were killed, wherever in the training."""
    for left in left_behind_runs(settings.journals, settings.tracking_uri):
        run = _run(client, left.run_id)
        if run is not None and run.info.status == RUNNING:
            client.set_terminated(left.run_id, KILLED)
            console.detail(f"run {left.run_id} ended early and is now KILLED; to continue it: --resume {left.run_id}")


def _require_same(run: Run, identity: Mapping[str, str]) -> None:
    if changed := [part for part, value in identity.items() if run.data.tags.get(PREFIX + part) != value]:
        raise NothingToResume.changed(run.info.run_id, changed)


def _run(client: MlflowClient, run_id: str) -> Run | None:
    try:
        run = client.get_run(run_id)
    except MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return run if run.info.lifecycle_stage == LifecycleStage.ACTIVE else None


def _commit_tag() -> dict[str, str]:
    commit = git_commit()
    return {MLFLOW_GIT_COMMIT: commit} if commit else {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
