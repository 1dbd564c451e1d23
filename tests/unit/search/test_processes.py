"""Trials in processes: the data is shared and not copied, and no trial can end the search."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from lakehouse.settings import Settings
from tests.unit.frames import alternating, by_time
from tests.unit.search.attempts import Misbehaving, Reading, Smooth
from training.frame import splits
from training.search import running
from training.search.executors import mapped_pickle
from training.search.executors.processes import Processes, WorkerFailed
from training.search.trial import Attempt, Trial, TrialSpec
from training.space.joint_space import Candidate
from training.space.space import Params
from training.use_case.search import SearchPlan

SPARE = Candidate("knn", {"n_neighbors": 5})

SETTINGS = Settings.from_environment({})


def plan(**changes: object) -> SearchPlan:
    defaults = {"families": ["logistic_regression", "knn"], "max_evals": 8, "seed": 3, "parallelism": 2}
    return SearchPlan.model_validate({**defaults, **changes})


def test_a_value_reads_back_and_its_arrays_are_written_once_and_privately_writable(tmp_path: Path) -> None:
    column = np.arange(100_000, dtype=np.float64)
    value = {"whole": column, "again": column, "odd": np.ones(3, np.int8), "none": column[:0], "text": ["a"]}
    mapped_pickle.write(value, tmp_path / "file")
    assert (tmp_path / "file").stat().st_size < column.nbytes + 4096
    read = mapped_pickle.read(tmp_path / "file")
    for name, values in value.items():
        np.testing.assert_array_equal(read[name], values)
    read["whole"][0] = 7
    assert mapped_pickle.read(tmp_path / "file")["whole"][0] == 0


def test_all_arrays_are_mapped_by_one_file_descriptor(tmp_path: Path) -> None:
    mapped_pickle.write([np.ones(1000) for _ in range(50)], tmp_path / "file")
    before = len(list(Path("/dev/fd").iterdir()))
    arrays = mapped_pickle.read(tmp_path / "file")
    assert len(list(Path("/dev/fd").iterdir())) == before + 1
    assert not any(array.flags.owndata for array in arrays)


def test_folds_read_back_and_score_the_same(tmp_path: Path) -> None:
    attempt = Attempt(list(splits.folds(alternating(80), by_time(folds=3), 0)), 0, 0.5)
    params: Params = {"n_neighbors": 5, "weights": "uniform", "distance": "cosine", "numeric_shape": "as_is"}
    task = TrialSpec(1, Candidate("knn", params))
    mapped_pickle.write(attempt, tmp_path / "file")
    assert mapped_pickle.read(tmp_path / "file")(task).metrics == attempt(task).metrics


def test_trials_that_end_their_process_are_recorded_and_the_search_continues() -> None:
    actions = {2: "hang", 3: "exit_early", 4: "fill_memory", 6: "be_killed", 7: "abort"}
    recorded: list[Trial] = []
    result = running.run_plan(
        plan(trial_timeout_s=2, trial_memory_mb=128), Misbehaving(actions), recorded.append, SETTINGS
    )
    assert result.stop_reason == "complete"
    assert sorted(recorded, key=lambda trial: trial.number) == list(result.trials)
    ended = {trial.number: trial for trial in result.trials}
    assert {number: trial.status for number, trial in ended.items()} == {
        **dict.fromkeys((1, 5, 8), "ok"),
        2: "timeout",
        3: "failed",
        4: "out_of_memory",
        6: "out_of_memory",
        7: "failed",
    }
    assert ended[2].error == "took longer than 2 s"
    assert str(ended[3].error).startswith("process exited with code 7")
    assert str(ended[4].error).startswith("MemoryError")
    assert result.best("roc_auc").number == 8


def test_an_unexpected_error_ends_the_search_with_its_traceback() -> None:
    with pytest.raises(WorkerFailed, match=r"(?s)trial 2 raised an unexpected error.*KeyError: 'no such thing'"):
        running.run_plan(plan(max_evals=3), Misbehaving({2: "defect"}), lambda _trial: None, SETTINGS)


def test_the_same_trials_in_any_order_of_ending(tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    recorded: list[int] = []

    def record(trial: Trial) -> None:
        recorded.append(trial.number)
        (tmp_path / "late" / str(trial.number)).touch()

    result = running.run_plan(plan(max_evals=24), Smooth(tmp_path / "late", {1: 2, 6: 7}), record, SETTINGS)
    assert recorded.index(2) < recorded.index(1)
    assert recorded.index(7) < recorded.index(6)
    again = running.run_plan(plan(max_evals=24), Smooth(tmp_path), lambda _trial: None, SETTINGS)
    assert [trial.candidate for trial in result.trials] == [trial.candidate for trial in again.trials]
    assert result.trials == again.trials


def test_running_trials_are_stopped_at_the_time_limit() -> None:
    result = running.run_plan(
        plan(max_minutes=3 / 60), Misbehaving({3: "hang", 4: "hang"}), lambda _trial: None, SETTINGS
    )
    assert result.stop_reason == "out_of_time"
    assert {trial.number for trial in result.trials} <= {1, 2}


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="no /proc to read")
def test_all_processes_share_one_copy_of_the_data(tmp_path: Path) -> None:
    data, until = np.full(8_000_000, 0.5), tmp_path / "go on"
    executor = Processes(Reading(data, until), 3)
    try:
        for number in (1, 2, 3):
            executor.submit(TrialSpec(number, SPARE))
        assert executor.next(time.monotonic() + 0.1) is None  # they start
        mapped = shares(executor, data.nbytes)
        until.touch()
        trials = [executor.next(None) for _ in range(3)]
    finally:
        executor.close()
    assert [trial.metrics["roc_auc"] for trial in trials if trial] == [0.5] * 3
    assert [part["Rss"] >= data.nbytes for part in mapped] == [True] * 3
    assert sum(part["Pss"] for part in mapped) < 1.1 * data.nbytes
    assert [part["Private_Dirty"] for part in mapped] == [0] * 3


def shares(executor: Processes, size: int) -> list[dict[str, int]]:
    """Memory that each process maps of the data, after all of them have read it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        executor.next(time.monotonic() + 0.05)
        held = [of_data(pid) for pid in executor.pids]
        if len(held) == 3 and all(part.get("Rss", 0) >= size for part in held):
            return held
    raise AssertionError("the processes did not read the data")


def of_data(pid: int) -> dict[str, int]:
    held: dict[str, int] = {}
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            inside = line.endswith("/attempt")
        elif inside and rest[-1:] == ["kB"]:
            held[name[:-1]] = held.get(name[:-1], 0) + int(rest[0]) * 1024
    return held


def test_processes_end_with_the_search(tmp_path: Path) -> None:
    executor = Processes(Misbehaving({1: "hang"}), 1)
    executor.submit(TrialSpec(1, SPARE))
    assert executor.next(time.monotonic() + 0.2) is None
    (pid,) = executor.pids
    executor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
