"""Running builds: interruption, and a second writer at the same time."""

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapter.project import Project
from tests.checkout import ended

# A model that signals its start and then waits for the file `go_on`.
WAITING = """
import time
from pathlib import Path

def model(dbt, session):
    Path({running!r}).touch()
    while not Path({go_on!r}).exists():
        time.sleep(0.01)
    return dbt.ref('one')
"""


@dataclass(frozen=True)
class Waiting:
    """Project with a second run, in a separate process, whose second model waits."""

    project: Project
    process: subprocess.Popen[str]
    go_on: Path


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    running, go_on = tmp_path / "running", tmp_path / "go on"
    slow = WAITING.format(running=str(running), go_on=str(go_on))
    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id", "models/slow.py": slow})
    go_on.touch()
    project.dbt("run")  # in this process, which releases the lock at the end
    running.unlink()
    go_on.unlink()
    with ended(project.start("run")) as process:
        while not running.exists() and process.poll() is None:
            time.sleep(0.01)
        yield Waiting(project, process, go_on)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_keeps_the_earlier_rows(waiting: Waiting, sent: signal.Signals) -> None:
    waiting.process.send_signal(sent)
    assert waiting.process.stdout
    for line in waiting.process.stdout:
        if "CANCEL" in line:
            break
    waiting.go_on.touch()  # dbt waits for its threads
    waiting.process.communicate(timeout=60)
    assert waiting.process.returncode != 0
    project = waiting.project
    assert project.rows("gold.one") == project.rows("gold.slow") == [{"id": 1}]
    project.process("run")


def test_a_second_writer_is_refused_with_the_process_id_of_the_first(waiting: Waiting) -> None:
    project, first = waiting.project, waiting.process
    before = {name: project.warehouse.open(name).version() for name in project.warehouse.tables()}
    output = project.dbt("run", exits=2)
    assert f"is being written to by process {first.pid} since" in output
    assert {name: project.warehouse.open(name).version() for name in project.warehouse.tables()} == before
    waiting.go_on.touch()
    log, _ = first.communicate(timeout=60)
    assert first.returncode == 0, log
