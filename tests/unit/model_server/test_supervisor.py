"""A server that crashes is started again, one that ends is not, and one that keeps crashing is given up."""

import signal
import subprocess
import sys

import pytest

KEPT = """
import os, signal, sys
from deployment.model_server.process.supervisor import keep

def serve():
    os.write(1, b"begun\\n")
    {what}

sys.exit(keep(serve))
"""


@pytest.mark.parametrize(
    ("what", "begun", "code"),
    [
        ("return 0", 1, 0),
        ("return 3", 1, 3),
        ("raise ValueError('defect')", 1, 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", 5, 1),
        ("os.kill(os.getpid(), signal.SIGTERM)", 1, 0),
        ("os.kill(os.getppid(), signal.SIGTERM); signal.pause()", 1, 0),
        ("if os.path.exists(sys.argv[1]): return 7\n    open(sys.argv[1], 'w').close(); os.abort()", 2, 7),
    ],
)
def test_what_becomes_of_a_server(tmp_path_factory: pytest.TempPathFactory, what: str, begun: int, code: int) -> None:
    seen = tmp_path_factory.mktemp("kept") / "seen"
    command = [sys.executable, "-c", KEPT.format(what=what), str(seen)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("begun\n" * begun, code), ended.stderr


def test_nothing_outlives_its_keeper() -> None:
    script = KEPT.format(what="signal.pause()")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout
        assert keeper.stdout.readline() == "begun\n"
        keeper.send_signal(signal.SIGKILL)
        assert keeper.stdout.read() == "", "the pipe ends when the last process that holds it does"
