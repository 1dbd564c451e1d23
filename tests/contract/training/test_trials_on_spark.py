"""Trials on Spark: as tasks of a Spark Connect server, and by hyperopt's `SparkTrials` on a classic session."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.jvm_spark import available
from lakehouse.engine.payload_limit import PayloadTooLarge
from lakehouse.settings import PROJECT, Settings
from tests.unit.frames import alternating, by_time
from tests.unit.search.attempts import Misbehaving, Smooth
from training.frame import splits
from training.frame.splits import Fold
from training.search import record, running
from training.search.executors import attempt_file
from training.search.executors.attempt_file import AttemptFile
from training.search.loop import ResumeRefused
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.use_case.search import SearchPlan

SETTINGS = Settings.from_environment({"SPARK_MASTER": "local[2]"})
ATTEMPT = Attempt(list(splits.folds(alternating(80), by_time(folds=2), 0)), 0, 0.5)


def plan(**changes: object) -> SearchPlan:
    small = {"knn": {"n_neighbors": [3, 5, 7]}}
    defaults = {"families": ["knn"], "max_evals": 4, "seed": 3, "parallelism": 2, "space": small}
    return SearchPlan.model_validate({**defaults, "executor": "spark_connect", **changes})


def searched(plan: SearchPlan, attempt: Callable[[TrialSpec], Trial] = ATTEMPT) -> tuple[Trial, ...]:
    recorded: list[Trial] = []
    result = running.run_plan(plan, attempt, recorded.append, SETTINGS)
    assert result.stop_reason == "complete"
    assert sorted(recorded, key=lambda trial: trial.number) == list(result.trials)
    return result.trials


def test_trials_on_spark_connect_equal_those_of_local_processes() -> None:
    remote, local = searched(plan()), searched(plan(executor="processes"))
    assert [(trial.candidate, trial.per_fold) for trial in remote] == [
        (trial.candidate, trial.per_fold) for trial in local
    ]
    assert [trial.status for trial in remote] == ["ok"] * 4


def test_failed_trials_are_recorded_and_unexpected_errors_are_raised() -> None:
    rows = alternating(20)
    one_class = Attempt([Fold(replace(rows, y=np.zeros_like(rows.y)), rows)], 0, 0.5)
    failed = searched(plan(families=["logistic_regression"], max_evals=2, space={}), one_class)
    assert [trial.status for trial in failed] == ["failed"] * 2
    assert str(failed[0].error).startswith("ValueError: The 'liblinear' solver")
    with pytest.raises(Exception, match="no such thing"):
        searched(plan(max_evals=1), Misbehaving({1: "defect"}))


def test_a_small_attempt_file_travels_to_workers_that_do_not_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_file, "gettempdir", lambda: str(tmp_path))
    written = AttemptFile.write(Smooth(tmp_path), tmp_path / "attempt")
    carried = written.with_content()
    monkeypatch.setattr(attempt_file, "PAYLOAD_LIMIT", 10)
    with pytest.raises(PayloadTooLarge, match=r"do not see .*\n.*Set TMPDIR"):
        written.with_content()
    (tmp_path / "attempt").unlink()
    assert not carried.is_visible()
    spec = TrialSpec(4, Candidate("knn", {"n_neighbors": 5}))
    assert carried.run(spec) == carried.run(spec)
    assert (tmp_path / f"search-{written.digest}").exists()


def test_spark_trials_cannot_be_resumed() -> None:
    finished = {1: Trial(1, Candidate("knn", {}), {}, (), ATTEMPT(TrialSpec(1, Candidate("dummy", {}))).duration)}
    with pytest.raises(ResumeRefused, match=r"cannot continue after 1 of them\n.*spark_connect or processes"):
        running.run_plan(plan(executor="spark_trials"), ATTEMPT, lambda _trial: None, SETTINGS, finished)


# In a separate process, since a JVM stays with the process that started it. As in a training, a Spark Connect session
# is already open.
SCRIPT = """
from lakehouse.session import open_session
open_session()
from tests.contract.training import test_trials_on_spark as here
from training.search import record
for trial in here.searched(here.plan(executor="spark_trials", space=here.LARGE, max_evals=3)):
    print(record.to_json(trial))
"""
LARGE = {"knn": {"n_neighbors": [3, 500]}}  # 3 can be fitted, 500 cannot


@pytest.mark.jvm
@pytest.mark.skipif(not available(), reason="SparkTrials needs a classic session, and that a Java")
def test_spark_trials_search_on_a_classic_session() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    trials = [record.from_json(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [trial.number for trial in trials] == [1, 2, 3]
    for trial in trials:
        local = ATTEMPT(TrialSpec(trial.number, trial.candidate))
        assert (trial.metrics, trial.status, trial.error) == (local.metrics, local.status, local.error)
