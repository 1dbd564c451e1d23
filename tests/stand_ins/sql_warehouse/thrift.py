"""Thrift protocol between Databricks' SQL connector and Spark's Thrift server.

Databricks adds fields to Hive's protocol. The connector requires some of them, which vanilla Spark does not send.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from queue import Empty, LifoQueue
from typing import Any

from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
from pyspark.errors import PySparkException
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport, TMemoryBuffer

from tests.stand_ins.sql_warehouse.statements import Refused

SERVICE: Any = TCLIService  # generated code without types
TYPES: Any = ttypes
ANSWERS_WITHIN_MS = 600_000


class Sockets:
    """Connections to Spark's Thrift server, all kept open: it closes a session with the connection that opened it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: LifoQueue[TBufferedTransport] = LifoQueue()
        self._all: list[TBufferedTransport] = []

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[TBufferedTransport]:
        try:
            transport = self._free.get_nowait()
        except Empty:
            socket = TSocket("127.0.0.1", self._port)
            socket.setTimeout(ANSWERS_WITHIN_MS)
            transport = TBufferedTransport(socket)
            transport.open()
            self._all.append(transport)
        yield transport
        self._free.put(transport)

    def close(self) -> None:
        for transport in self._all:
            transport.close()


class ThriftShim:
    """Answers a message of the SQL connector with the answer of Spark's Thrift server.

    `translated` gives the statement for Spark. It may raise `Refused`, which becomes an error of the statement.
    """

    def __init__(self, port: int, translated: Callable[[str], str]) -> None:
        self.sockets = Sockets(port)
        self._translated = translated

    def respond(self, body: bytes) -> bytes:
        """Answer to the message in the body of a request."""
        protocol = TBinaryProtocol(TMemoryBuffer(body))
        method, _, number = protocol.readMessageBegin()
        arguments = getattr(SERVICE, f"{method}_args")()
        arguments.read(protocol)
        try:
            result = self._call(method, arguments)
        except (Refused, PySparkException) as err:
            result = _refusal(str(err).partition("\n\nJVM stacktrace")[0])
        return _message(method, TMessageType.REPLY, number, result)

    def _call(self, method: str, arguments: Any) -> Any:
        if method == "ExecuteStatement":
            arguments.req.statement = self._translated(arguments.req.statement)
            arguments.req.canReadArrowResult = None
        elif method == "OpenSession":
            # The connector sends no user, and a version that only Databricks knows.
            arguments.req.username = "a.person@example.com"
            arguments.req.client_protocol = TYPES.TProtocolVersion.HIVE_CLI_SERVICE_PROTOCOL_V8
            arguments.req.client_protocol_i64 = None
        result = self._sent(method, arguments)
        answer = result.success
        if method == "GetOperationStatus" and answer.errorMessage:
            # A warehouse sends the message without the frames of the JVM.
            answer.errorMessage = re.split(r"\n\s+at |\nCaused by", answer.errorMessage)[0]
        if method == "OpenSession":
            answer.serverProtocolVersion = TYPES.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V5
            answer.initialNamespace = TYPES.TNamespace()
            answer.canUseMultipleCatalogs = True
        elif method == "GetResultSetMetadata":
            answer.resultFormat = TYPES.TSparkRowSetType.COLUMN_BASED_SET
        elif method == "FetchResults":
            request = TYPES.TGetResultSetMetadataReq(operationHandle=arguments.req.operationHandle)
            metadata = self._call("GetResultSetMetadata", SERVICE.GetResultSetMetadata_args(request))
            answer.resultSetMetadata = metadata.success
        return result

    def _sent(self, method: str, arguments: Any) -> Any:
        with self.sockets.borrowed() as transport:
            transport.write(_message(method, TMessageType.CALL, 0, arguments))
            transport.flush()
            protocol = TBinaryProtocol(transport)
            protocol.readMessageBegin()
            result = getattr(SERVICE, f"{method}_result")()
            result.read(protocol)
            protocol.readMessageEnd()
        return result


def _refusal(message: str) -> Any:
    status = TYPES.TStatus(statusCode=TYPES.TStatusCode.ERROR_STATUS, errorMessage=message, sqlState="42000")
    return SERVICE.ExecuteStatement_result(success=TYPES.TExecuteStatementResp(status=status))


def _message(method: str, kind: int, number: int, content: Any) -> bytes:
    buffer = TMemoryBuffer()
    protocol = TBinaryProtocol(buffer)
    protocol.writeMessageBegin(method, kind, number)
    content.write(protocol)
    protocol.writeMessageEnd()
    written: bytes = buffer.getvalue()
    return written
