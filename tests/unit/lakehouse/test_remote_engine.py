"""Wrong addresses, and servers that cannot run the lifecycle: one sentence each, with the next command."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from click.testing import CliRunner
from pyspark.errors import AnalysisException

from benchmarks.harness import jvm_spark
from lakehouse.engine import remote
from lakehouse.engine.remote import EngineRefused, EngineUnreachable, require_shared_folder
from lakehouse.session import JavaNotFound, classic_session, new_session, open_session
from lakehouse.settings import Settings

FOREGROUND = """
import os, signal
from contextlib import contextmanager
from benchmarks.harness import jvm_spark

@contextmanager
def server():
    try:
        yield "sc://127.0.0.1:1"
    finally:
        print("the server ended", flush=True)

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for a command in the background
jvm_spark.available, jvm_spark.jvm_spark_connect = lambda: True, server
jvm_spark.main(standalone_mode=False)
"""


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of a program that accepts connections and is silent."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def other_grpc_server() -> Iterator[str]:
    """The address of a gRPC server without any service."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:many", "no-such-host.invalid"])
def test_an_address_where_nobody_listens_is_refused_at_once(address: str) -> None:
    with pytest.raises(EngineUnreachable) as refused:
        open_session(f"sc://{address}")
    assert refused.value.failed == f"no Spark Connect server responds at sc://{address}"
    assert refused.value.hint == "Start it, correct SPARK_REMOTE, or unset SPARK_REMOTE to use the embedded engine."


@pytest.mark.parametrize("address", ["http://127.0.0.1:15002", "nonsense", ""])
def test_an_address_of_another_form_is_refused(address: str) -> None:
    with pytest.raises(EngineUnreachable, match="does not have the form sc://host:port"):
        open_session(address)


def test_a_parameter_without_a_value_is_refused(listener: str) -> None:
    with pytest.raises(EngineUnreachable, match="does not have the form"):
        open_session(f"sc://{listener}/;token")


def test_another_program_at_the_address_is_refused_within_seconds(
    listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CONNECT_SECONDS", 0.5)
    with pytest.raises(EngineUnreachable) as refused:
        open_session(f"sc://{listener}")
    assert refused.value.failed.startswith(f"something listens at sc://{listener}, and it is no Spark Connect server")
    assert "Correct SPARK_REMOTE" in str(refused.value.hint)


def test_a_server_that_refuses_a_session_is_named_with_its_reason(other_grpc_server: str) -> None:
    with pytest.raises(EngineRefused) as refused:
        new_session(f"sc://{other_grpc_server}")
    assert refused.value.failed == (
        f"the server at sc://{other_grpc_server} refuses a session: UNIMPLEMENTED, Method not found!"
    )


def test_a_server_that_does_not_see_the_warehouse_is_refused(tmp_path: Path) -> None:
    def not_found(path: str) -> None:
        raise AnalysisException(f"[PATH_NOT_FOUND] Path does not exist: file:{path}.")

    other: Any = SimpleNamespace(read=SimpleNamespace(text=not_found))
    with pytest.raises(EngineRefused) as refused:
        require_shared_folder(other, "sc://spark", tmp_path)
    assert refused.value.failed == f"the Spark Connect server at sc://spark does not see the warehouse {tmp_path}"
    assert "LAKEHOUSE_WAREHOUSE" in str(refused.value.hint)
    require_shared_folder(open_session(), "sc://spark", tmp_path)
    assert list(tmp_path.iterdir()) == []
    require_shared_folder(other, "sc://spark", tmp_path / "missing")  # there is nothing to compare


def test_an_empty_variable_means_the_embedded_engine() -> None:
    assert Settings.from_environment({"SPARK_REMOTE": ""}).remote is None


def test_without_java_the_jvm_engine_and_spark_trials_name_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JavaNotFound, match=r"no java on the PATH\n  Install Java 17, or use --executor processes"):
        classic_session("local[2]").__enter__()
    result = CliRunner().invoke(jvm_spark.main, [])
    assert isinstance(result.exception, jvm_spark.JvmSparkFailed)
    assert str(result.exception) == (
        "there is no java on the PATH\n  Install Java 17 or newer; Sail needs none: dbt build."
    )


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_the_jvm_engine_ends_with_its_command(ends: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", FOREGROUND], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert any("ready at" in line for line in command.stdout)
        command.send_signal(ends)
        rest = command.stdout.read()
    assert (rest.splitlines()[-1], command.returncode) == ("the server ended", 0)
