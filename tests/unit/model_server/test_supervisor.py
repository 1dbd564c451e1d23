"""The supervisor restarts a server after a crash, but not after an exit or too many crashes."""

import signal
import subprocess
import sys

import pytest

SUPERVISED = """
import os, signal, sys
from deployment.model_server.process.supervisor import supervise

def serve():
    os.write(1, b"started\\n")
    {server_code}

sys.exit(supervise(serve))
"""


@pytest.mark.parametrize(
    ("server_code", "starts", "exit_code"),
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
def test_only_crashes_restart_the_server(
    tmp_path_factory: pytest.TempPathFactory, server_code: str, starts: int, exit_code: int
) -> None:
    marker = tmp_path_factory.mktemp("supervised") / "marker"
    command = [sys.executable, "-c", SUPERVISED.format(server_code=server_code), str(marker)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.returncode) == ("started\n" * starts, exit_code), ended.stderr


def test_the_server_ends_when_its_supervisor_is_killed() -> None:
    script = SUPERVISED.format(server_code="signal.pause()")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == "started\n"
        supervisor.send_signal(signal.SIGKILL)
        assert supervisor.stdout.read() == "", "the pipe closes when the last process that holds it ends"
