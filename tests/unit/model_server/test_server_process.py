"""Ports, process numbers, settings and token files. The contract tests start real servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from deployment.model_server.http.auth import Tokens, TokenUnusable, ensure_token, read_token
from deployment.model_server.http.tls import CertificateUnusable
from deployment.model_server.process import server_process
from deployment.model_server.process.ports import PortTaken, check_free, holder_of, started_at
from deployment.model_server.settings import ServerSettings
from lakehouse.errors import LakehouseError
from lakehouse.settings import ServerAccess, Settings


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path, tmp_path / "state", "sqlite://", port=1)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    code = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); sys.stdin.read()"
    running = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with running:
        assert running.stdout
        running.stdout.readline()
        yield running
        running.kill()


def record(settings: ServerSettings, pid: int, started: str) -> None:
    settings.state.mkdir(exist_ok=True)
    values = {"url": "http://x", "pid": str(pid), "started": started, "token_file": "t", "log_file": "l"}
    settings.process_file.write_text(json.dumps(values))


def test_the_error_names_the_process_on_the_port(taken: int) -> None:
    with pytest.raises(PortTaken, match=f"127.0.0.1:{taken}: process {os.getpid()} ") as refused:
        check_free("127.0.0.1", taken)
    assert f"--port {taken + 1}" in str(refused.value)
    assert str(holder_of(taken)).startswith(f"{os.getpid()} (")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(PortTaken, match=r"cannot listen at 192\.0\.2\.1:8080"):
        check_free("192.0.2.1", 8080)


def test_number_and_start_time_identify_a_process() -> None:
    assert started_at(os.getpid()) == started_at(os.getpid())
    assert started_at(os.getpid()) != started_at(1)
    assert started_at(2**22 + 1) is None


def test_a_zombie_process_does_not_count_as_running() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout
    ended.stdout.read()  # ends with the process
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert started_at(ended.pid) is None
    ended.communicate()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to read")
def test_a_process_runs_until_its_last_thread_has_ended() -> None:
    code = (
        "import ctypes, sys, threading\n"
        "print(flush=True)\n"
        "threading.Thread(target=sys.stdin.read).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        started = started_at(running.pid)
        while state_of(running.pid) != "Z":  # the first thread has not ended yet
            time.sleep(0.01)
        assert started_at(running.pid) == started
        assert running.poll() is None
        running.kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        assert started_at(running.pid) is None


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_without_a_process_file_no_server_runs(settings: ServerSettings) -> None:
    assert server_process.running(settings) is None
    assert server_process.stop(settings) is False


RECORD = '{"url": "http://x", "pid": PID, "started": "1", "token_file": "t", "log_file": "l"}'


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": "1"}', RECORD.replace("PID", '"one"'), RECORD.replace("PID", "1")]
)
def test_a_damaged_process_file_is_refused_by_name(settings: ServerSettings, text: str) -> None:
    settings.state.mkdir()
    settings.process_file.write_text(text)
    for read in (server_process.running, server_process.stop):
        with pytest.raises(LakehouseError, match=r"server\.json.* cannot be read") as refused:
            read(settings)
        assert "Port 1 is free. End the server if it still runs, delete the file" in str(refused.value)
    assert settings.process_file.exists(), "the record of a running server is kept"


def test_stop_leaves_a_process_with_a_reused_number_alone(
    settings: ServerSettings, child: subprocess.Popen[bytes]
) -> None:
    record(settings, child.pid, "of an earlier process")
    assert server_process.running(settings) is None
    assert server_process.stop(settings) is False
    assert child.poll() is None
    assert not settings.process_file.exists()


def test_a_server_that_ignores_sigterm_is_killed(settings: ServerSettings, child: subprocess.Popen[bytes]) -> None:
    record(settings, child.pid, started_at(child.pid) or "")
    assert server_process.running(settings)
    assert server_process.stop(settings, seconds=1, clock=FakeClock()) is True
    assert child.wait(10) == -signal.SIGKILL


def test_a_second_server_with_the_same_state_folder_is_refused(settings: ServerSettings) -> None:
    record(settings, os.getpid(), started_at(os.getpid()) or "")
    for start in (server_process.serve, server_process.serve_detached):
        with pytest.raises(server_process.AlreadyServing, match=f"process {os.getpid()}"):
            start(settings)


@pytest.mark.parametrize(
    ("server", "host", "port"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", 8080),
        ("http://0.0.0.0:80/", "0.0.0.0", 80),  # noqa: S104 - configured
        ("http://[::1]:9000", "::1", 9000),
        ("http://localhost", "localhost", 80),
    ],
)
def test_the_address_comes_from_the_settings(server: str, host: str, port: int) -> None:
    here = ServerSettings.of(Settings.from_environment({"MODEL_SERVER": server}))
    assert (here.host, here.port) == (host, port)
    assert ServerSettings.from_json(json.loads(json.dumps(here.as_json()))) == here
    assert ServerSettings.of(Settings.from_environment({}), port=9).port == 9


@pytest.mark.parametrize(
    "server",
    [
        "https://adb-1.azuredatabricks.net", "127.0.0.1:8080", "http://host/path", "", "http://127.0.0.1:99999",
        "http://127.0.0.1:x", "http://[::1",
    ],
)  # fmt: skip
def test_a_url_that_is_not_a_local_server_is_refused(server: str) -> None:
    with pytest.raises(LakehouseError, match="MODEL_SERVER"):
        ServerSettings.of(Settings.from_environment({"MODEL_SERVER": server}))


@pytest.mark.parametrize("text", [None, "no PEM"])
@pytest.mark.parametrize("start", [server_process.serve, server_process.serve_detached])
def test_an_invalid_certificate_is_refused_before_the_server_starts(
    settings: ServerSettings, tmp_path: Path, start: Callable[[ServerSettings], object], text: str | None
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if text is not None:
        certificate.write_text(text)
        key.write_text(text)
    secure = replace(settings, serving=ServerAccess(certificate=certificate, key=key))
    with pytest.raises(CertificateUnusable, match=r"cert\.pem.* and the key .*key\.pem.* cannot be used") as refused:
        start(secure)
    assert "MODEL_SERVER_CERTIFICATE" in str(refused.value)
    assert ("which is no file" in str(refused.value)) is (text is None)


@pytest.mark.parametrize(
    ("mode", "text", "says"), [(0o644, "x" * 43, "chmod 600"), (0o600, "short", "shorter"), (0o600, "", "shorter")]
)
def test_an_unusable_token_is_refused(tmp_path: Path, mode: int, text: str, says: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(TokenUnusable, match=says):
        ensure_token(path)


@pytest.mark.parametrize(("mode", "reads"), [(0o440, True), (0o400, True), (0o444, False), (0o460, False)])
def test_a_credential_of_systemd_may_be_read_by_its_group(tmp_path: Path, mode: int, reads: bool) -> None:
    credentials, here = tmp_path / "credentials", tmp_path / "here"
    for folder in (credentials, here):
        folder.mkdir()
        (folder / "token").write_text("c" * 20)
        (folder / "token").chmod(mode)
    environment = {
        "CREDENTIALS_DIRECTORY": str(credentials),
        "MODEL_SERVER_TOKEN_FILE": str(credentials / "token"),
        "MODEL_SERVER_DATA_TOKEN": "d" * 20,
    }
    settings = ServerSettings.of(Settings.from_environment(environment))
    with nullcontext() if reads else pytest.raises(TokenUnusable, match="other users can read"):
        assert Tokens.of(settings).control == b"c" * 20
    with nullcontext() if mode == 0o400 else pytest.raises(TokenUnusable, match="other users can read"):
        read_token(here / "token", credentials)


def test_the_error_for_a_missing_token_names_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(TokenUnusable, match=r"deployment\.run serve"):
        read_token(tmp_path / "token")
