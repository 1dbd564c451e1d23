"""Spark sessions: Sail inside this process, any Spark Connect server, or a Databricks workspace."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse import interrupts
from lakehouse.engine.remote import EngineRefused, SessionExpired, require_answer, require_listener, require_supported
from lakehouse.errors import LakehouseError
from lakehouse.process_memory import machine_memory

CONNECT = ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE")  # variables that mark a Spark Connect process


class JavaNotFound(LakehouseError):
    """Classic Spark needs a JVM, and there is no Java."""

    @classmethod
    def here(cls) -> "JavaNotFound":
        return cls(
            "SparkTrials and spark_xgboost need Java, and there is no java on the PATH",
            hint="Install Java 17, or use --executor processes and the family xgboost.",
        )


def open_session(remote: str | None = None) -> SparkSession:
    """Open the session of this process, or return the open one; one that the server ended is replaced.

    Args:
        remote: `sc://host:port` of a Spark Connect server; None starts Sail in this process, on loopback.

    Raises:
        EngineUnreachable: no server responds at `remote`.
        EngineRefused: the server has another version than the client, or no Delta, or refuses a session.
    """
    # Training runs learners next to the engine, and they need the memory that it frees; by default its allocator
    # keeps it. dbt builds open their sessions with `new_session`, and are a fifth faster without this setting.
    os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
    return _in_utc(remote, _open_or_existing)


def new_session(remote: str | None = None) -> SparkSession:
    """Open another session on the same engine, with separate temporary views (on Sail: a separate catalogue).

    Raises:
        EngineUnreachable: no server responds at `remote`.
        EngineRefused: the server has another version than the client, or no Delta, or refuses a session.
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
    require_java()
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


def require_java() -> None:
    """Check that a classic session can be opened.

    Raises:
        JavaNotFound: there is no Java on the PATH.
    """
    if shutil.which("java") is None:
        raise JavaNotFound.here()


def _open_or_existing(builder: SparkSession.Builder) -> SparkSession:
    """The session of this process, or a new one. Beside a classic session PySpark's own builder refuses both."""
    if pyspark.SparkContext._active_spark_context is None:
        return builder.getOrCreate()
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    return cast("SparkSession", ConnectSession.builder.config(map=dict(builder._options)).getOrCreate())


def _in_utc(remote: str | None, opened: Callable[[SparkSession.Builder], SparkSession]) -> SparkSession:
    # After a fork gRPC restarts its threads in the child, and aborts the child if it closes their files before exec.
    # That happened to 2 to 13 of 300 child processes during an open session, and once to the Spark gateway.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    if remote is not None:
        require_listener(remote)
        if remote not in _supported:
            require_answer(remote)
    with interrupts.preserve_sigint_handler():
        address = remote or _embedded_engine()
        try:
            return _prepared(opened, address, is_remote=remote is not None)
        except SessionExpired:
            return _prepared(opened, address, is_remote=remote is not None)


def _prepared(
    opened: Callable[[SparkSession.Builder], SparkSession], address: str, *, is_remote: bool
) -> SparkSession:
    session: Any = opened(SparkSession.builder.remote(address))
    try:
        _prepare(session, address, is_remote=is_remote)
    except LakehouseError:
        session.release_session_on_close = False
        session.stop()  # or the next call would get it again
        raise
    return cast("SparkSession", session)


def _prepare(session: SparkSession, address: str, *, is_remote: bool) -> None:
    try:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        if is_remote:  # JVM Spark writes INT96 by default, which Sail does not read in a NOT NULL column
            session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    except PySparkException as err:
        if SessionExpired.is_meant_by(err):
            raise SessionExpired.at(address) from err
        raise EngineRefused.by_the_server(address, err) from err
    if is_remote and address not in _supported:
        require_supported(session, address)
        _supported.add(address)


@cache
def _embedded_engine() -> str:
    # Sail reads its settings at import. By default it logs each start and stop at INFO, and uses all memory. With a
    # shared pool, sorts and aggregates spill to disk and are as fast. A join cannot spill: a frame of 15 million rows
    # did not fit an eighth of 24 GiB and fits a quarter.
    os.environ.setdefault("RUST_LOG", "error")
    os.environ.setdefault("SAIL_RUNTIME__MEMORY_POOL__TYPE", "fair")
    os.environ.setdefault("SAIL_RUNTIME__MEMORY_POOL__FAIR__MAX_SIZE", str(max(machine_memory() // 4, 2**30)))
    # Sail ends a session that sends nothing for a quarter of an hour. Searches take longer, and need their frames.
    os.environ.setdefault("SAIL_SPARK__SESSION_TIMEOUT_SECS", str(365 * 24 * 3600))
    from pysail.spark import SparkConnectServer

    logging.getLogger("sail").setLevel(logging.ERROR)
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _keep_running.append(server)  # the engine stops with its last reference
    host, port = server.listening_address
    return f"sc://{host}:{port}"


_keep_running: list[object] = []
_supported: set[str] = set()  # addresses of servers that were checked
