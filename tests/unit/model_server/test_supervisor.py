"""The supervisor starts a server again for whatever reason it ended, except a server that has never listened."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

SUPERVISED = """
import os, signal, sys
from deployment.model_server.process.supervisor import supervise

def serve(listening):
    os.write(1, b"started\\n")
    {server_code}

sys.exit(supervise(serve, first_pause=0.01))
"""


def supervised(server_code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", SUPERVISED.format(server_code=server_code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("server_code", "exit_code"),
    [
        ("return 0", 0),
        ("return 3", 3),
        ("raise ValueError('defect')", 1),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGKILL)", 1),
        ("os.kill(os.getppid(), signal.SIGTERM); signal.pause()", 0),
    ],
)
def test_a_server_that_has_never_listened_is_not_started_again(server_code: str, exit_code: int) -> None:
    ended = supervised(server_code)
    assert (ended.stdout, ended.returncode) == ("started\n", exit_code), ended.stderr


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("return 0", "the server exited with code 0"),
        ("return 3", "the server exited with code 3"),
        ("os._exit(0)", "the server exited with code 0"),
        ("raise SystemExit(2)", "the server exited with code 1"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "signal 9 killed the server"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "signal 15 killed the server"),
        ("os.abort()", "signal 6 killed the server"),
    ],
)
def test_a_server_that_has_listened_is_started_again_until_it_is_stopped(
    tmp_path: Path, end: str, reason: str
) -> None:
    """The fourth start ends the supervisor, as `stop` does."""
    starts = tmp_path / "starts"
    count = "with open(sys.argv[1], 'a') as file: file.write('x')"
    stop = "if os.path.getsize(sys.argv[1]) == 4: os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    ended = supervised("\n    ".join([count, stop, "listening()", end]), str(starts))
    assert (ended.stdout, ended.returncode) == ("started\n" * 4, 0), ended.stderr
    lines = [line for line in ended.stderr.splitlines() if "restarting" in line]
    assert lines == [f"{reason}: restarting{pause}" for pause in ("", " in 0.01 s", " in 0.02 s")]


def test_a_restart_that_fails_before_it_listens_is_tried_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    code = [
        "with open(sys.argv[1], 'a') as file: file.write('x')",
        "if os.path.getsize(sys.argv[1]) == 3: os.kill(os.getppid(), signal.SIGTERM); signal.pause()",
        "if os.path.getsize(sys.argv[1]) == 1: listening()",
        "return 1",
    ]
    assert supervised("\n    ".join(code), str(starts)).stdout == "started\n" * 3


def test_the_server_ends_when_its_supervisor_is_killed() -> None:
    script = SUPERVISED.format(server_code="signal.pause()")
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        assert supervisor.stdout.readline() == "started\n"
        supervisor.send_signal(signal.SIGKILL)
        assert supervisor.stdout.read() == "", "the pipe closes when the last process that holds it ends"
