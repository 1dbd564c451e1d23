"""Connections: the Spark session of the process, with the tables of the warehouse registered in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.embedded import views
from dbt.adapters.embedded.dialect import translated
from dbt.adapters.events.logging import AdapterLogger
from dbt.adapters.exceptions.connection import FailedToConnectError
from dbt.adapters.sail.connections import SailConnectionManager, SailCredentials
from dbt.adapters.spark.session import Connection as SessionHandle
from dbt.adapters.spark.session import Cursor, SessionConnectionWrapper
from dbt_common.exceptions import DbtDatabaseError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.engine.remote import require_shared_folder
from lakehouse.errors import LakehouseError
from lakehouse.session import new_session
from lakehouse.tables.warehouse import TableName, Warehouse
from lakehouse.tables.writer_lock import WriterLock


@cache
def _session(remote: str | None, warehouse: Path) -> SparkSession:
    """One session per warehouse, because two warehouses may contain tables of the same name."""
    return new_session(remote)


@dataclass
class Access:
    """Open session of a target and the writer lock of its warehouse.

    All copies of the credentials share it: dbt copies them with the project of about one model in 5,000 while it
    parses, and neither a lock nor a session can be copied.
    """

    opening: threading.Lock = field(default_factory=threading.Lock)
    session: SparkSession | None = None
    writer_lock: WriterLock | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Access":
        return self


@dataclass
class EmbeddedCredentials(SailCredentials):
    """Settings of a target: the warehouse folder, and the server address if the engine runs in another process.

    A relative `warehouse` is below the dbt project, independent of the working directory.
    """

    warehouse: str = "warehouse"
    remote: str | None = None
    project_root: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._access = Access()  # not a dataclass field, because dbt makes a JSON schema of the fields

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
        """Warehouse at its absolute path."""
        return Warehouse((Path(self.project_root) / self.warehouse).resolve())

    def session(self) -> SparkSession:
        """The session; the first call takes the writer lock, opens the warehouse and registers its tables and views.

        A hook would be too late, because dbt fills its cache of relations before the first hook runs.
        """
        access = self._access
        with access.opening:
            if access.session is None:
                self.lakehouse.require_writable()
                access.writer_lock = access.writer_lock or WriterLock.on(self.lakehouse.root)
                session = _session(self.remote, self.lakehouse.root)
                if self.remote is not None:
                    require_shared_folder(session, self.remote, self.lakehouse.root)
                self.lakehouse.register(session, _warn_of_unreadable)
                views.register(session, self.lakehouse)
                access.session = session
            return access.session

    def release(self) -> None:
        """Release the writer lock at the end of the command."""
        access = self._access
        with access.opening:
            access.session = None
            if access.writer_lock is not None:
                access.writer_lock.release()
                access.writer_lock = None


def _warn_of_unreadable(name: TableName, err: LakehouseError) -> None:
    # The other tables can be built and documented; a model that reads this one fails by name.
    AdapterLogger("embedded").warning(f"table {name} is left out: {err}")


class EmbeddedCursor(Cursor):
    """Cursor that runs SQL in the session and raises its errors as dbt errors."""

    def __init__(self, session: SparkSession) -> None:
        super().__init__()
        self._session = session

    def execute(self, sql: str, *parameters: object) -> None:
        with _database_errors():
            self._df = self._session.sql(translated(self._session, sql % parameters if parameters else sql))

    # The engine may analyse a query only when its rows or columns are read.

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
    except (LakehouseError, PySparkException) as err:
        raise DbtDatabaseError(str(err)) from err


class EmbeddedHandle(SessionHandle):
    """Replacement for the pyodbc connection of dbt-spark."""

    def __init__(self, session: SparkSession) -> None:
        super().__init__()
        self._session = session

    def cursor(self) -> EmbeddedCursor:
        return EmbeddedCursor(self._session)


class EmbeddedConnectionManager(SailConnectionManager):
    """Opens the session of this process instead of a separate server."""

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
