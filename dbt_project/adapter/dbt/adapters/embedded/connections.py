"""A connection is the process's one Spark session, with the warehouse's tables registered in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.embedded import views
from dbt.adapters.exceptions.connection import FailedToConnectError
from dbt.adapters.sail.connections import SailConnectionManager, SailCredentials
from dbt.adapters.spark.session import Connection as SessionHandle
from dbt.adapters.spark.session import Cursor, SessionConnectionWrapper
from dbt_common.exceptions import DbtDatabaseError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError
from lakehouse.session import new_session
from lakehouse.warehouse import Warehouse
from lakehouse.writer_lock import WriterLock


@cache
def _session(remote: str | None, warehouse: Path) -> SparkSession:
    """One for each warehouse that this process meets: two may hold tables of the same name."""
    return new_session(remote)


@dataclass
class Access:
    """The open session of a target, and the right to write to its warehouse.

    Every copy of the credentials has the same: dbt copies them with a model's project while it parses, for about one
    model in 5,000, and neither a lock nor a session has a copy.
    """

    opening: threading.Lock = field(default_factory=threading.Lock)
    session: SparkSession | None = None
    claim: WriterLock | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Access":
        return self


@dataclass
class EmbeddedCredentials(SailCredentials):
    """What a target says: the warehouse folder, and a server's address if the engine is not in this process.

    A relative `warehouse` is below the dbt project, whatever the working directory.
    """

    warehouse: str = "warehouse"
    remote: str | None = None
    project_root: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._access = Access()  # no field: dbt makes a JSON schema of those

    @property
    def type(self) -> str:
        return "embedded"

    @property
    def unique_field(self) -> str:
        return self.remote or "in process"

    def _connection_keys(self) -> tuple[str, ...]:
        return "warehouse", "remote", "schema"

    @property
    def lakehouse(self) -> Warehouse:
        """The warehouse at its absolute path."""
        return Warehouse((Path(self.project_root) / self.warehouse).resolve())

    def session(self) -> SparkSession:
        """The session; the first call claims the warehouse, opens it and registers what stands there.

        A hook would be too late for that: dbt fills its cache of relations before the first hook runs.
        """
        access = self._access
        with access.opening:
            if access.session is None:
                self.lakehouse.require_writable()
                access.claim = access.claim or WriterLock.on(self.lakehouse.root)
                session = _session(self.remote, self.lakehouse.root)
                self.lakehouse.register(session)
                views.register(session, self.lakehouse)
                access.session = session
            return access.session

    def release(self) -> None:
        """Let others write to the warehouse: this command has ended."""
        access = self._access
        with access.opening:
            access.session = None
            if access.claim is not None:
                access.claim.release()
                access.claim = None


class EmbeddedCursor(Cursor):
    """A cursor that runs SQL in the session and tells its errors as dbt's."""

    def __init__(self, session: SparkSession) -> None:
        super().__init__()
        self._session = session

    def execute(self, sql: str, *parameters: object) -> None:
        with _database_errors():
            self._df = self._session.sql(sql % parameters if parameters else sql)

    # The engine may look at a query only when its rows or its columns are asked for.

    @property
    def description(self) -> Any:
        with _database_errors():
            return super().description

    def fetchall(self) -> Any:
        with _database_errors():
            return super().fetchall()

    def fetchone(self) -> Any:
        with _database_errors():
            return super().fetchone()


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except PySparkException as err:
        raise DbtDatabaseError(str(err)) from err


class EmbeddedHandle(SessionHandle):
    """What dbt-spark takes for a pyodbc connection."""

    def __init__(self, session: SparkSession) -> None:
        super().__init__()
        self._session = session

    def cursor(self) -> EmbeddedCursor:
        return EmbeddedCursor(self._session)


class EmbeddedConnectionManager(SailConnectionManager):
    """Opens the session instead of a server of its own."""

    TYPE = "embedded"

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        if connection.state == ConnectionState.OPEN:
            return connection
        credentials: Any = connection.credentials
        try:
            connection.handle = SessionConnectionWrapper(EmbeddedHandle(credentials.session()))
        except LakehouseError as err:
            connection.handle = None
            connection.state = ConnectionState.FAIL
            raise FailedToConnectError(str(err)) from err
        connection.state = ConnectionState.OPEN
        return connection

    def cleanup_all(self) -> None:
        super().cleanup_all()
        credentials: Any = self.profile.credentials
        credentials.release()
