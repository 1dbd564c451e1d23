"""Checks of a Spark Connect server before its use: it responds, can run the lifecycle, and sees the warehouse."""

import re
import socket
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import urlsplit

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError, first_line

DEFAULT_PORT = 15002  # of Spark Connect
CONNECT_SECONDS = 10
DELTA_VERSION = "4.4.0"


class EngineUnreachable(LakehouseError):
    """No Spark Connect server responds at the address."""

    @classmethod
    def at(cls, remote: str) -> "EngineUnreachable":
        return cls(
            f"no Spark Connect server responds at {remote}",
            hint="Start it, correct SPARK_REMOTE, or unset SPARK_REMOTE to use the embedded engine.",
        )

    @classmethod
    def malformed(cls, remote: str) -> "EngineUnreachable":
        return cls.at(f"{remote or 'the empty address'}, which does not have the form sc://host:port")

    @classmethod
    def other_program(cls, remote: str) -> "EngineUnreachable":
        return cls(
            f"something listens at {remote}, and it is no Spark Connect server: no answer in {CONNECT_SECONDS} s",
            hint="Correct SPARK_REMOTE (a token or use_ssl in it means TLS), or unset it to use the embedded engine.",
        )


class EngineRefused(LakehouseError):
    """The Spark Connect server cannot run the lifecycle, or refuses to."""

    @classmethod
    def by_the_server(cls, remote: str, reason: Exception) -> "EngineRefused":
        status = re.search(r'status = StatusCode\.(\w+)\s+details = "(.*)"', str(reason))
        cause = f"{status[1]}, {status[2]}" if status else first_line(reason)
        return cls(
            f"the server at {remote} refuses a session: {cause}",
            hint="Correct the address or token in SPARK_REMOTE, or unset it to use the embedded engine.",
        )

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

    @classmethod
    def other_disk(cls, remote: str, warehouse: Path) -> "EngineRefused":
        return cls(
            f"the Spark Connect server at {remote} does not see the warehouse {warehouse}",
            hint="Set LAKEHOUSE_WAREHOUSE to a folder that this machine and the server share under one path.",
        )


class SessionExpired(LakehouseError):
    """The server ended the session, as servers do with one that sent nothing for long."""

    @classmethod
    def at(cls, address: str) -> "SessionExpired":
        return cls(f"the server at {address} ended the session", hint="Run the command again.")

    @staticmethod
    def is_meant_by(err: Exception) -> bool:
        """True for Spark's error of a session that is closed or unknown, and for Sail's."""
        return "INVALID_HANDLE.SESSION_" in str(err) or "is not running" in str(err)


def require_listener(remote: str) -> None:
    """Fail within seconds unless a gRPC server answers; the client would retry for ten minutes.

    Raises:
        EngineUnreachable: no answer within CONNECT_SECONDS, or `remote` is not a valid address.
    """
    url = urlsplit(remote)
    if url.scheme != "sc" or not url.hostname:
        raise EngineUnreachable.malformed(remote)
    try:
        socket.create_connection((url.hostname, url.port or DEFAULT_PORT), CONNECT_SECONDS).close()
    except (OSError, ValueError) as err:
        raise EngineUnreachable.at(remote) from err


def require_answer(remote: str) -> None:
    """Fail within seconds unless the listener speaks gRPC.

    Raises:
        EngineUnreachable: no answer within CONNECT_SECONDS, or a parameter of the address is invalid.
    """
    import grpc
    from pyspark.sql.connect.client.core import DefaultChannelBuilder

    try:
        channel = DefaultChannelBuilder(remote).toChannel()
    except PySparkException as err:
        raise EngineUnreachable.malformed(remote) from err
    try:
        grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
    except grpc.FutureTimeoutError as err:
        raise EngineUnreachable.other_program(remote) from err
    finally:
        channel.close()


def require_supported(session: SparkSession, remote: str) -> None:
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


def require_shared_folder(session: SparkSession, remote: str, folder: Path) -> None:
    """Check with a file of a moment that the server sees this folder; one that cannot be written to is not checked.

    Raises:
        EngineRefused: the server has no such folder, or another one of this path.
    """
    try:
        probe = NamedTemporaryFile(dir=folder, prefix=".probe-")  # noqa: SIM115  (closed below)
    except OSError:
        return
    with probe:
        try:
            session.read.text(probe.name).columns  # noqa: B018  (analysed here, read never)
        except PySparkException as err:
            raise EngineRefused.other_disk(remote, folder) from err


def _delta_package() -> str:
    major, minor = pyspark.__version__.split(".")[:2]
    return f"io.delta:delta-spark_{major}.{minor}_2.13:{DELTA_VERSION}"
