"""A build that is at work: interrupted, and beside another one."""

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapter.project import Project
from tests.checkout import ended

# A model that says that it runs, and then waits until it may go on.
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
    """A project whose second model waits in the second run, which is a process of its own."""

    project: Project
    process: subprocess.Popen[str]
    go_on: Path


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    running, go_on = tmp_path / "running", tmp_path / "go on"
    slow = WAITING.format(running=str(running), go_on=str(go_on))
    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id", "models/slow.py": slow})
    go_on.touch()
    project.dbt("run")  # in this process, which lets go at the end
    running.unlink()
    go_on.unlink()
    with ended(project.start("run")) as process:
        while not running.exists() and process.poll() is None:
            time.sleep(0.01)
        yield Waiting(project, process, go_on)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_harms_nothing(waiting: Waiting, how: signal.Signals) -> None:
    waiting.process.send_signal(how)
    assert waiting.process.stdout
    for line in waiting.process.stdout:
        if "CANCEL" in line:
            break
    waiting.go_on.touch()  # dbt ends when its threads have
    waiting.process.communicate(timeout=60)
    assert waiting.process.returncode != 0
    project = waiting.project
    assert project.rows("gold.one") == project.rows("gold.slow") == [{"id": 1}]
    project.process("run")


def test_a_second_writer_is_told_who_writes_and_changes_nothing(waiting: Waiting) -> None:
    project, first = waiting.project, waiting.process
    before = {name: project.warehouse.open(name).version() for name in project.warehouse.tables()}
    told = project.dbt("run", exits=2)
    assert f"is being written to by process {first.pid} since" in told
    assert {name: project.warehouse.open(name).version() for name in project.warehouse.tables()} == before
    waiting.go_on.touch()
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 0, output
