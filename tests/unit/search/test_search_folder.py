"""Temporary folders of searches: those of killed processes are removed, all others stay."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from training.search.executors.search_folder import SearchFolder, remove_left_behind

HOLD = """
import sys, time
from training.search.executors.search_folder import SearchFolder
folder = SearchFolder()
print(folder.name, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def held() -> tuple[subprocess.Popen[str], Path]:
    """A process with a search folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_only_folders_of_killed_processes_are_removed(scratch: Path) -> None:
    (scratch / "search-results").mkdir()  # of another program
    (scratch / "search-results" / "attempt").touch()
    killed, left_behind = held()
    alive, in_use = held()
    with SearchFolder() as own:
        try:
            (left_behind / "attempt").write_bytes(b"rows")
            assert remove_left_behind() == 0
            killed.send_signal(signal.SIGKILL)
            killed.wait()
            assert left_behind.exists()
            assert remove_left_behind() == 1
            assert not left_behind.exists()
            assert in_use.exists() and Path(own).exists()
        finally:
            for process in (killed, alive):
                process.kill()
                process.wait()
                process.stdout.close()  # type: ignore[union-attr]
    assert not Path(own).exists()
    assert (scratch / "search-results" / "attempt").exists()
