"""Spark sessions: Sail inside this process, any Spark Connect server, or a Databricks workspace."""

import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse import interrupts
from lakehouse.errors import LakehouseError
from lakehouse.process_memory import machine_memory

DEFAULT_PORT = 15002  # of Spark Connect
CONNECT_SECONDS = 10
CONNECT = ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE")  # variables that mark a Spark Connect process


class EngineUnreachable(LakehouseError):
    """No Spark Connect server responds at the address."""

    @classmethod
    def at(cls, remote: str) -> "EngineUnreachable":
        return cls(
            f"no Spark Connect server responds at {remote}",
            hint="Start it, correct SPARK_REMOTE, or unset SPARK_REMOTE to use the embedded engine.",
        )


class EngineRefused(LakehouseError):
    """The Spark Connect server cannot run the lifecycle."""

    @classmethod
    def other_version(cls, remote: str, server: str, client: str) -> "EngineRefused":
        return cls(
            f"the Spark Connect server at {remote} is Spark {server}, and the client is PySpark {client}",
            hint=f"Start a server of Spark {'.'.join(client.split('.')[:2])}, or set SPARK_REMOTE to another one.",
        )

    @classmethod
    def without_delta(cls, remote: str) -> "EngineRefused":
        return cls(
            f"the Spark Connect server at {remote} has no Delta Lake",
            hint=f"Start it with --packages {_delta_package()} and the extension of Delta (make spark), or unset "
            "SPARK_REMOTE to use the embedded engine.",
        )


class JavaNotFound(LakehouseError):
    """Classic Spark needs a JVM, and there is no Java."""

    @classmethod
    def here(cls) -> "JavaNotFound":
        hint = "Install Java 17, or use --executor processes."
        return cls("SparkTrials needs Java, and there is no java on the PATH", hint=hint)


def open_session(remote: str | None = None) -> SparkSession:
    """Open the session of this process, or return the open one.

    Args:
        remote: `sc://host:port` of a Spark Connect server; None starts Sail in this process, on loopback.

    Raises:
        EngineUnreachable: no server responds at `remote`.
        EngineRefused: the server has another version than the client, or no Delta.
    """
    # Training runs learners next to the engine, and they need the memory that it frees; by default its allocator
    # keeps it. dbt builds open their sessions with `new_session`, and are a fifth faster without this setting.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
    return _in_utc(remote, lambda builder: builder.getOrCreate())


def new_session(remote: str | None = None) -> SparkSession:
    """Open another session on the same engine, with separate temporary views (on Sail: a separate catalogue).

    Raises:
        EngineUnreachable: no server responds at `remote`.
        EngineRefused: the server has another version than the client, or no Delta.
    """
    return _in_utc(remote, lambda builder: builder.create())


def workspace_session() -> SparkSession:
    """The session of the running Databricks notebook or job, with times in UTC."""
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


@contextmanager
def classic_session(master: str) -> Iterator[SparkSession]:
    """Open a classic session on the JVM in addition to the Spark Connect one; `master` is a Spark master URL.

    Inside the block the Spark Connect variables are unset. With them PySpark would start the threads of classic jobs
    as those of a Connect client, and they would end before their jobs start.

    Raises:
        JavaNotFound: there is no Java on the PATH.
    """
    if shutil.which("java") is None:
        raise JavaNotFound.here()
    if master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    hidden = {name: os.environ.pop(name) for name in CONNECT if name in os.environ}
    try:
        from pyspark.sql.session import SparkSession as ClassicSession

        builder = ClassicSession.builder.master(master).config("spark.ui.enabled", "false")
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        yield builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    finally:
        os.environ.update(hidden)


def _in_utc(remote: str | None, opened: Callable[[SparkSession.Builder], SparkSession]) -> SparkSession:
    # After a fork gRPC restarts its threads in the child, and aborts the child if it closes their files before exec.
    # That happened to 2 to 13 of 300 child processes during an open session, and once to the Spark gateway.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    if remote is not None:
        _require_listener(remote)
    with interrupts.preserve_sigint_handler():
        address = remote or _embedded_engine()
        try:
            session = opened(SparkSession.builder.remote(address))
            session.conf.set("spark.sql.session.timeZone", "UTC")
        except PySparkException as err:
            raise EngineUnreachable.at(address) from err
        if remote is not None and remote not in _supported:
            _require_supported(session, remote)
            _supported.add(remote)
        return session


def _require_supported(session: SparkSession, remote: str) -> None:
    """Check version and Delta of a server.

    Raises:
        EngineRefused: the server has another version than the client, or no Delta.
    """
    server, client = session.version, pyspark.__version__
    if server.split(".")[:2] != client.split(".")[:2]:
        raise EngineRefused.other_version(remote, server, client)
    try:
        session.read.format("delta").load("/no-such-table").columns  # noqa: B018  (analysed here, read never)
    except PySparkException as err:
        # With Delta, the error is about the missing table.
        if "DATA_SOURCE_NOT_FOUND" in str(err) or "No data source found" in str(err):
            raise EngineRefused.without_delta(remote) from err


def _delta_package() -> str:
    major, minor = pyspark.__version__.split(".")[:2]
    return f"io.delta:delta-spark_{major}.{minor}_2.13:4.4.0"


def _require_listener(remote: str) -> None:
    """Fail at once if no server listens; the client would retry for ten minutes.

    Raises:
        EngineUnreachable: no connection within CONNECT_SECONDS, or `remote` is not a valid address.
    """
    url = urlsplit(remote)
    if url.scheme != "sc" or not url.hostname:
        raise EngineUnreachable.at(f"{remote}, which does not have the form sc://host:port")
    try:
        socket.create_connection((url.hostname, url.port or DEFAULT_PORT), CONNECT_SECONDS).close()
    except (OSError, ValueError) as err:
        raise EngineUnreachable.at(remote) from err


@cache
def _embedded_engine() -> str:
    # Sail reads its settings at import. By default it logs each start and stop at INFO, and uses all memory. With a
    # shared pool, sorts and aggregates spill to disk and are as fast. A join cannot spill: a frame of 15 million rows
    # did not fit an eighth of 24 GiB and fits a quarter.
    os.environ.setdefault("RUST_LOG", "error")
    os.environ.setdefault("SAIL_RUNTIME__MEMORY_POOL__TYPE", "fair")
    os.environ.setdefault("SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE", str(max(machine_memory() // 4, 2**30)))
    from pysail.spark import SparkConnectServer

    logging.getLogger("sail").setLevel(logging.ERROR)
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _keep_running.append(server)  # the engine stops with its last reference
    host, port = server.listening_address
    return f"sc://{host}:{port}"


_keep_running: list[object] = []
_supported: set[str] = set()  # addresses of servers that were checked
