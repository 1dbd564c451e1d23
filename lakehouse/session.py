"""One Spark Connect session: Sail inside this process, or any server that speaks the protocol."""

import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse import interrupts
from lakehouse.errors import LakehouseError

DEFAULT_PORT = 15002  # Spark Connect's own
CONNECT_SECONDS = 10
CONNECT = ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE")  # what says that a process speaks Spark Connect


class EngineUnreachable(LakehouseError):
    """No Spark Connect server answers at the address."""

    @classmethod
    def at(cls, remote: str) -> "EngineUnreachable":
        return cls(
            f"no Spark Connect server answers at {remote}",
            hint="Start it, correct SPARK_REMOTE, or unset SPARK_REMOTE to use the engine in this process.",
        )


class JavaNeeded(LakehouseError):
    """Classic Spark runs on the JVM."""

    @classmethod
    def here(cls) -> "JavaNeeded":
        hint = "Install Java 17, or say --executor processes."
        return cls("there is no java on the PATH, and SparkTrials runs on it", hint=hint)


def open_session(remote: str | None = None) -> SparkSession:
    """Open the session of this process, or return the one that is open.

    Args:
        remote: `sc://host:port` of a Spark Connect server; None starts Sail in this process, on loopback.

    Raises:
        EngineUnreachable: nothing answers at `remote`.
    """
    # Who reads a frame has learners beside the engine, and they need what it has freed; its allocator would keep it.
    # dbt builds, which open a session of their own each, are a fifth faster without.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
    return _in_utc(remote, lambda builder: builder.getOrCreate())


def new_session(remote: str | None = None) -> SparkSession:
    """Open one more session on the same engine, with temporary views (on Sail: a catalogue) of its own.

    Raises:
        EngineUnreachable: nothing answers at `remote`.
    """
    return _in_utc(remote, lambda builder: builder.create())


def workspace_session() -> SparkSession:
    """The session that a Databricks runtime keeps for the notebook or job that it runs, with times in UTC."""
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    return session


@contextmanager
def classic_session(master: str) -> Iterator[SparkSession]:
    """The classic session of this process, on the JVM, beside the Spark Connect one; `master` as Spark spells it.

    Within the block nothing says that this process speaks Spark Connect: PySpark would begin the threads of classic
    jobs as those of a Connect client, and they would end before their jobs begin.

    Raises:
        JavaNeeded: there is no Java on the PATH.
    """
    if shutil.which("java") is None:
        raise JavaNeeded.here()
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
    # After a fork gRPC begins its threads anew in the child, and aborts it where the child closes their files before
    # another program takes its place: so did 2 to 13 of 300 children beside an open session, once Spark's gateway.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    if remote is not None:
        _require_listener(remote)
    with interrupts.kept():
        address = remote or _embedded_engine()
        try:
            session = opened(SparkSession.builder.remote(address))
            session.conf.set("spark.sql.session.timeZone", "UTC")
        except PySparkException as err:
            raise EngineUnreachable.at(address) from err
        return session


def _require_listener(remote: str) -> None:
    """Fail at once where nobody listens: the client would try again for ten minutes.

    Raises:
        EngineUnreachable: no connection within CONNECT_SECONDS, or `remote` is no address.
    """
    url = urlsplit(remote)
    if url.scheme != "sc" or not url.hostname:
        raise EngineUnreachable.at(f"{remote}, which is not of the form sc://host:port")
    try:
        socket.create_connection((url.hostname, url.port or DEFAULT_PORT), CONNECT_SECONDS).close()
    except (OSError, ValueError) as err:
        raise EngineUnreachable.at(remote) from err


@cache
def _embedded_engine() -> str:
    # Sail reads its settings when it is imported. It logs each start and stop at INFO unless told otherwise, and
    # takes any memory there is unless told to share a pool: then sorts and aggregates spill to disk, as fast. A join
    # cannot: a frame of 15 million rows had no room in an eighth of 24 GiB, and has in a quarter.
    os.environ.setdefault("RUST_LOG", "error")
    os.environ.setdefault("SAIL_RUNTIME__MEMORY_POOL__TYPE", "fair")
    os.environ.setdefault("SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE", str(max(_memory() // 4, 2**30)))
    from pysail.spark import SparkConnectServer

    logging.getLogger("sail").setLevel(logging.ERROR)
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _keep_running.append(server)  # the engine ends with its last reference
    host, port = server.listening_address
    return f"sc://{host}:{port}"


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


_keep_running: list[object] = []
