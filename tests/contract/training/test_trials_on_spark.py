"""Trials on Spark: as tasks of a Spark Connect server, and by hyperopt's own `SparkTrials` on a classic session."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.harness.jvm_spark import available
from lakehouse.settings import PROJECT, Settings
from tests.unit.frames import alternating, by_time
from tests.unit.search.attempts import Misbehaving, Smooth
from training.frame import splits
from training.search import record, running
from training.search.executors import attempt_file
from training.search.executors.attempt_file import AttemptFile, AttemptFileRefused
from training.search.loop import ResumeRefused
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.use_case.search import SearchPlan

SETTINGS = Settings.from_environment({"SPARK_MASTER": "local[2]"})
ATTEMPT = Attempt(list(splits.folds(alternating(80), by_time(folds=2), 0)), 0, 0.5)


def plan(**changes: object) -> SearchPlan:
    small = {"knn": {"n_neighbors": [3, 5, 7]}}
    said = {"families": ["knn"], "max_evals": 4, "seed": 3, "parallelism": 2, "space": small}
    return SearchPlan.model_validate({**said, "executor": "spark_connect", **changes})


def searched(plan: SearchPlan, attempt: Callable[[TrialSpec], Trial] = ATTEMPT) -> tuple[Trial, ...]:
    recorded: list[Trial] = []
    found = running.run_plan(plan, attempt, recorded.append, SETTINGS)
    assert found.stop_reason == "complete"
    assert sorted(recorded, key=lambda trial: trial.number) == list(found.trials)
    return found.trials


def test_trials_through_spark_connect_are_those_of_processes_here() -> None:
    there, here = searched(plan()), searched(plan(executor="processes"))
    assert [(trial.candidate, trial.per_fold) for trial in there] == [
        (trial.candidate, trial.per_fold) for trial in here
    ]
    assert [trial.status for trial in there] == ["ok"] * 4


def test_a_trial_that_fails_there_is_recorded_and_a_defect_is_told() -> None:
    few = Attempt(list(splits.folds(alternating(20), by_time(folds=1), 0)), 0, 0.5)
    failed = searched(plan(max_evals=2, space={"knn": {"n_neighbors": [400, 500]}}), few)
    assert [trial.status for trial in failed] == ["failed"] * 2
    assert "Expected n_neighbors <= n_samples_fit" in str(failed[0].error)
    with pytest.raises(Exception, match="no such thing"):
        searched(plan(max_evals=1), Misbehaving({1: "defect"}))


def test_workers_that_do_not_see_the_file_get_its_bytes_while_they_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_file, "gettempdir", lambda: str(tmp_path))
    packed = AttemptFile.packed(Smooth(tmp_path), tmp_path / "attempt")
    carried = packed.with_bytes()
    monkeypatch.setattr(attempt_file, "LIMIT", 10)
    with pytest.raises(AttemptFileRefused, match=r"do not see .*\n.*Set TMPDIR"):
        packed.with_bytes()
    (tmp_path / "attempt").unlink()
    assert not carried.seen()
    task = TrialSpec(4, Candidate("knn", {"n_neighbors": 5}))
    assert carried.attempted(task) == carried.attempted(task)
    assert (tmp_path / f"search-{packed.digest}").exists()


def test_spark_trials_go_on_with_no_earlier_trials() -> None:
    finished = {1: Trial(1, Candidate("knn", {}), {}, (), ATTEMPT(TrialSpec(1, Candidate("dummy", {}))).duration)}
    with pytest.raises(ResumeRefused, match=r"cannot go on after 1 of them\n.*spark_connect or processes"):
        running.run_plan(plan(executor="spark_trials"), ATTEMPT, lambda _trial: None, SETTINGS, finished)


# A process of its own, since a JVM stays with the process that started it; as in a training, a Spark Connect session
# was open before.
SCRIPT = """
from lakehouse.session import open_session
open_session()
from tests.contract import test_trials_on_spark as here
from training.search import record
for trial in here.searched(here.plan(executor="spark_trials", space=here.LARGE, max_evals=3)):
    print(record.written(trial))
"""
LARGE = {"knn": {"n_neighbors": [3, 500]}}  # one point that can be fitted and one that cannot


@pytest.mark.skipif(not available(), reason="SparkTrials needs a classic session, and that a Java")
def test_spark_trials_search_on_a_classic_session() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    trials = [record.read(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [trial.number for trial in trials] == [1, 2, 3]
    for trial in trials:
        again = ATTEMPT(TrialSpec(trial.number, trial.candidate))
        assert (trial.metrics, trial.status, trial.error) == (again.metrics, again.status, again.error)
