"""Spark on the JVM with Delta Lake, as a Spark Connect server on the loopback address: `make spark` runs one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import click
import pyspark

from lakehouse import console
from lakehouse.errors import LakehouseError

SCALA = "2.13"
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    # The defaults, 200 and 50 partitions, suit clusters; on two cores they would take most of the time.
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
}
STARTS_WITHIN = 180.0  # seconds; the first start downloads Delta's jars
STOPS_WITHIN = 20.0  # seconds


class JvmSparkFailed(LakehouseError):
    """The server did not start."""

    @classmethod
    def because(cls, reason: str, log: Path) -> "JvmSparkFailed":
        return cls(
            f"JVM Spark {reason}:\n{log.read_text(encoding='utf-8')[-2000:]}", hint="It needs Java 17 or newer."
        )

    @classmethod
    def without_java(cls) -> "JvmSparkFailed":
        return cls("there is no java on the PATH", hint="Install Java 17 or newer; Sail needs none: dbt build.")


@dataclass(frozen=True)
class ConnectServer:
    """A running Spark Connect server.

    Attributes:
        remote: its address.
        session: the session of its processes on this machine, that of the JVM and those of its Python workers.
    """

    remote: str
    session: int


@contextmanager
def jvm_spark_connect() -> Iterator[str]:
    """Run a server until the block ends, and yield its address once it responds.

    Raises:
        JvmSparkFailed: the server ended or did not respond in time. The message contains the end of its log.
    """
    with connect_server({}) as server:
        yield server.remote


@contextmanager
def connect_server(settings: Mapping[str, str]) -> Iterator[ConnectServer]:
    """Run a Spark Connect server with these settings of Spark until the block ends.

    Raises:
        JvmSparkFailed: the server ended or did not respond in time. The message contains the end of its log.
    """
    port = _free_port()
    with jvm_spark(SERVER, port, {"spark.connect.grpc.binding.port": str(port), **settings}) as session:
        yield ConnectServer(f"sc://127.0.0.1:{port}", session)


@contextmanager
def jvm_spark(server: str, port: int, settings: Mapping[str, str], *arguments: str) -> Iterator[int]:
    """Run a server with Delta until the block ends; yield the session of its processes once it listens.

    Args:
        server: its class.
        port: the port at which it will listen.
        settings: settings of Spark, in addition to those for Delta and two cores.
        arguments: the jar with the class, if it is not in the packages, and the arguments of the server.

    Raises:
        JvmSparkFailed: the server ended or did not respond in time. The message contains the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="jvm-spark-") as folder:
        log = Path(folder) / "server.log"
        process = _started(Path(folder), log, server, settings, arguments)
        try:
            _wait(process, log, port)
            yield process.pid
        finally:
            _end(process)


@click.command()
def main() -> None:
    """Run a server in the foreground until Ctrl-C or SIGTERM, which end it too.

    Raises:
        JvmSparkFailed: Java is missing, or the server did not start.
    """
    if not available():
        raise JvmSparkFailed.without_java()
    for ends in (signal.SIGINT, signal.SIGTERM):  # a shell has a job in the background ignore Ctrl-C
        signal.signal(ends, signal.default_int_handler)
    console.stage("Starting Spark; the first start downloads Delta")
    with jvm_spark_connect() as remote, suppress(KeyboardInterrupt):
        console.stage(f"Spark Connect server ready at {remote}; Ctrl-C stops it")
        console.verbatim(
            "  build the tables:  SPARK_REMOTE=" + remote + " dbt build",
            "  train on them:     SPARK_REMOTE=" + remote + " python -m training.run --use-case term_deposit",
        )
        signal.pause()


def available() -> bool:
    """True if java is on the PATH."""
    return shutil.which("java") is not None


def _started(
    folder: Path, log: Path, server: str, added: Mapping[str, str], arguments: tuple[str, ...]
) -> subprocess.Popen[bytes]:
    settings = {**SETTINGS, "spark.sql.warehouse.dir": str(folder / "managed"), **added}
    delta = f"io.delta:delta-spark_{'.'.join(pyspark.__version__.split('.')[:2])}_{SCALA}:{version('delta-spark')}"
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    options = [option for name, value in settings.items() for option in ("--conf", f"{name}={value}")]
    with log.open("wb") as output:
        return subprocess.Popen(
            [submit, "--master", "local[2]", "--packages", delta, *options, "--class", server, *arguments],
            cwd=folder,
            env={**_environment(), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one process group, so the launcher and its JVM end together
        )


def _environment() -> dict[str, str]:
    # Either variable would make the server a client of another server.
    return {name: value for name, value in os.environ.items() if name not in {"SPARK_REMOTE", "SPARK_CONNECT_MODE"}}


def _wait(server: subprocess.Popen[bytes], log: Path, port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise JvmSparkFailed.because(f"ended with {server.returncode}", log)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise JvmSparkFailed.because(f"did not respond within {STARTS_WITHIN:.0f} s", log)


def _end(server: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sent)
            server.wait(timeout=STOPS_WITHIN)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    console.run_command(main)
