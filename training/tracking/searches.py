"""A search as a run: what it searches, whether an earlier one can go on, and the leaderboard at its end."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.entities import LifecycleStage, Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT

from lakehouse import console
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from training.frame.splits import Split
from training.search.trial import Trial
from training.tracking.journal import Header, TrialJournal, left_behind
from training.tracking.trials import TrialLog, deliver, trials_of
from training.use_case.use_case import UseCase

LATEST = "latest"
PREFIX = "search."
STOP_REASON = f"{PREFIX}stop_reason"
FINISHED, KILLED, RUNNING = (
    RunStatus.to_string(status) for status in (RunStatus.FINISHED, RunStatus.KILLED, RunStatus.RUNNING)
)
FREE = {"max_evals", "max_minutes", "executor"}  # of the search: what may differ when it goes on


class NothingToResume(LakehouseError):
    """There is no interrupted search, or it was of something else."""

    @classmethod
    def none(cls, use_case: str) -> "NothingToResume":
        return cls(f"no search of {use_case} was interrupted", hint="Start one: leave out --resume.")

    @classmethod
    def unknown(cls, run_id: str, use_case: str) -> "NothingToResume":
        return cls(f"run {run_id} is no search of {use_case}", hint="For the newest one: --resume latest")

    @classmethod
    def finished(cls, run_id: str) -> "NothingToResume":
        return cls(
            f"the search of run {run_id} has registered what it found", hint="Start a new one: leave out --resume."
        )

    @classmethod
    def changed(cls, run_id: str, what: Sequence[str]) -> "NothingToResume":
        return cls(
            f"since the search of run {run_id} there have changed: {', '.join(what)}",
            hint="Its trials cannot be compared with new ones. Start a new search: leave out --resume.",
        )


def identity(use_case: UseCase, data: Split) -> dict[str, str]:
    """What a search is about. Trials of searches that agree in all of it can be compared."""
    plan = use_case.search
    return {
        "use_case": _digest(use_case.model_dump_json(exclude={"search", "promotion"})),
        "settings": plan.model_dump_json(exclude={*FREE, "space"}),
        "space": plan.joint_space().fingerprint(),
        "tables": json.dumps(dict(sorted(data.training.sources.items()))),
        "rows": _digest(data.training.fingerprint() + data.holdout.fingerprint()),
    }


def unfinished(client: MlflowClient, experiment_id: str, use_case: str, which: str) -> Run:
    """The interrupted search `which`, a run's id or `latest`.

    Raises:
        NothingToResume: there is none.
    """
    runs = client.search_runs(
        [experiment_id], f"tags.`{PREFIX}space` != ''", max_results=1000, order_by=["attributes.start_time DESC"]
    )
    open_runs = [run for run in runs if run.info.status != FINISHED]
    if which == LATEST:
        if not open_runs:
            raise NothingToResume.none(use_case)
        return open_runs[0]
    found = [run for run in runs if run.info.run_id == which]
    if not found:
        raise NothingToResume.unknown(which, use_case)
    if found[0] not in open_runs:
        raise NothingToResume.finished(which)
    return found[0]


@contextmanager
def search_run(
    client: MlflowClient, experiment_id: str, about: Mapping[str, str], resumed: Run | None
) -> Iterator[Run]:
    """The active run of a search, new or resumed. Left by Ctrl-C it is KILLED, and can be resumed.

    Raises:
        NothingToResume: the use case, its search, the tables' versions or their rows are not those of `resumed`.
    """
    if resumed is not None:
        _require_same(resumed, about)
    tags = {PREFIX + what: said for what, said in about.items()} | _commit()
    run_id = None if resumed is None else resumed.info.run_id
    with mlflow.start_run(run_id, experiment_id=experiment_id, tags=tags) as run:
        try:
            yield client.get_run(run.info.run_id)
        except KeyboardInterrupt:
            mlflow.end_run(KILLED)
            raise


@contextmanager
def trial_log(client: MlflowClient, run: Run, settings: Settings, seed: int) -> Iterator[TrialLog]:
    """The log of the run's trials; they are all written when the block ends.

    Raises:
        RunInUse: another process searches for this run.
    """
    journal = TrialJournal.open(settings.journals, Header(settings.tracking_uri, run.info.run_id, seed))
    log = TrialLog(client, run, seed, journal)
    try:
        yield log
    finally:
        log.close()


def collect(client: MlflowClient, settings: Settings) -> None:
    """Log the trials that ended processes left behind, and end their runs."""
    for journal in left_behind(settings.journals, settings.tracking_uri):
        run_id, trials = journal.header.run_id, journal.trials()
        parent = _run(client, run_id)
        if parent is None:
            console.detail(f"{len(trials)} trials of run {run_id} are dropped: MLflow has no such run any more")
        else:
            deliver(client, parent, trials, journal.header.seed)
            console.detail(f"run {run_id} did not end; MLflow has all of its {len(trials)} trials now")
            if parent.info.status == RUNNING:
                client.set_terminated(run_id, KILLED)
        journal.close(delete=True)


def finished_trials(client: MlflowClient, run: Run | None) -> dict[int, Trial]:
    """The trials of an interrupted search, by number."""
    return {} if run is None else {trial.number: trial for trial in trials_of(client, run)}


def log_leaderboard(client: MlflowClient, run: Run, trials: Sequence[Trial], metric: str) -> None:
    """Every trial as one table, the best first."""
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


def _require_same(run: Run, now: Mapping[str, str]) -> None:
    if changed := [what for what, said in now.items() if run.data.tags.get(PREFIX + what) != said]:
        raise NothingToResume.changed(run.info.run_id, changed)


def _run(client: MlflowClient, run_id: str) -> Run | None:
    try:
        run = client.get_run(run_id)
    except MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return run if run.info.lifecycle_stage == LifecycleStage.ACTIVE else None


def _commit() -> dict[str, str]:
    """The commit of the project, where it is a git checkout."""
    if shutil.which("git") is None:
        return {}
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {MLFLOW_GIT_COMMIT: git.stdout.strip()} if git.returncode == 0 else {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
