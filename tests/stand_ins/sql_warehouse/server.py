"""SQL warehouse of one workspace: Spark's Thrift server behind the protocol and the rules of Databricks.

dbt-databricks and the SQL connector run as they are. Spark has ANSI mode, UTC and Delta, as a warehouse has. The only
catalog is Spark's own, `spark_catalog`; it stands for a catalog of Unity Catalog.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from benchmarks.harness.jvm_spark import jvm_spark, jvm_spark_connect
from tests.ports import free_port
from tests.stand_ins.sql_warehouse.jobs import Invalid, Workspace
from tests.stand_ins.sql_warehouse.statements import Refused
from tests.stand_ins.sql_warehouse.tables import CATALOG, table_info
from tests.stand_ins.sql_warehouse.thrift import ThriftShim
from tests.stand_ins.sql_warehouse.unity_catalog import UnityCatalog
from tests.stand_ins.sql_warehouse.warehouse import SqlWarehouse

DELTA = version("delta-spark")
TOKEN = "a-token"  # noqa: S105
WAREHOUSES = "/sql/1.0/warehouses/"
HTTP_PATH = f"{WAREHOUSES}a1b2c3"
PERMISSIONS = "/api/2.0/permissions/jobs/"
TABLES = "/api/2.1/unity-catalog/tables/"
SERVER = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.sources.default": "delta",
    "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
    # The Thrift server reads days as another class than this rule of open-source Delta expects: max(day) would fail.
    "spark.databricks.delta.optimizeMetadataQuery.enabled": "false",
    "spark.hadoop.javax.jdo.option.ConnectionURL": "jdbc:derby:memory:metastore;create=true",
}


@dataclass(frozen=True)
class Served:
    """Running warehouse.

    Attributes:
        url: address of the workspace.
        session: session of Spark for a test's own look at the tables.
        warehouse: what it received and knows.
        workspace: notebooks and runs.
    """

    url: str
    session: SparkSession
    warehouse: SqlWarehouse
    workspace: Workspace

    def profile(self) -> dict[str, Any]:
        """Keys that replace those of dbt's target `databricks`: the address, and a token instead of OAuth."""
        return {
            "host": self.url,
            "http_path": HTTP_PATH,
            "catalog": CATALOG,
            "token": TOKEN,
            "auth_type": "token",
            "connection_parameters": {
                "_connection_uri": f"{self.url}{HTTP_PATH}",
                "_retry_stop_after_attempts_count": 1,
                "enable_telemetry": False,
                "use_cloud_fetch": False,
            },
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shim: ThriftShim
    workspace: Workspace
    catalog: UnityCatalog

    def do_GET(self) -> None:
        self._respond()

    def do_PATCH(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.startswith("/.well-known/"):  # how the host signs users in
            self._send(200, b"{}")
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(Invalid(401, "UNAUTHENTICATED", "the token is missing or wrong"))
        elif url.path == HTTP_PATH:
            self._send(200, self.shim.respond(body), "application/x-thrift")
        elif url.path.startswith(WAREHOUSES):
            missing = f"SQL warehouse {url.path.removeprefix(WAREHOUSES)} does not exist."
            self._refuse(Invalid(404, "RESOURCE_DOES_NOT_EXIST", missing))
        else:
            request = dict(parse_qsl(url.query)) if self.command == "GET" else json.loads(body or b"{}")
            try:
                self._send(200, json.dumps(self._answer(url.path, request)).encode())
            except Invalid as err:
                self._refuse(err)

    def _answer(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        if (self.command, path) in self.workspace.routes:
            return self.workspace.routes[self.command, path](request)
        if self.command == "GET" and path.startswith(TABLES):
            return self._table(path.removeprefix(TABLES))
        if self.command == "PATCH" and path.startswith(PERMISSIONS):
            return self.workspace.permit(path.removeprefix(PERMISSIONS), request)
        raise Invalid(404, "ENDPOINT_NOT_FOUND", f"no {self.command} {path}")

    def _table(self, name: str) -> dict[str, Any]:
        try:
            return table_info(self.catalog.table(name))
        except (Refused, PySparkException) as err:
            raise Invalid(404, "TABLE_DOES_NOT_EXIST", f"Table '{name}' does not exist.") from err

    def _refuse(self, err: Invalid) -> None:
        self._send(err.status, json.dumps({"error_code": err.code, "message": str(err)}).encode())

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def serving(volumes: Path) -> Iterator[Served]:
    """Serve an empty warehouse; the folder `volumes` has the files of /Volumes."""
    port, connect = free_port(), free_port()
    settings = {
        **SETTINGS,
        "spark.connect.grpc.binding.port": str(connect),
        "spark.driver.extraClassPath": _class_path(),
    }
    hive = {
        "hive.server2.transport.mode": "binary",
        "hive.server2.authentication": "NOSASL",
        "hive.server2.thrift.port": str(port),
        "hive.server2.thrift.bind.host": "127.0.0.1",
    }
    arguments = [part for key, value in hive.items() for part in ("--hiveconf", f"{key}={value}")]
    spark = jvm_spark(SERVER, port, settings, "spark-internal", *arguments)
    with spark, _before(f"sc://127.0.0.1:{connect}", port, volumes) as served:
        yield served


def _class_path() -> str:
    """Delta's jars in the folder of Ivy.

    With the plugin of Spark Connect, the sessions of the Thrift server do not see the packages of spark-submit.
    """
    jars = _delta_jars()
    if not jars:
        with jvm_spark_connect():  # downloads them
            jars = _delta_jars()
    return ":".join(map(str, jars))


def _delta_jars() -> list[Path]:
    found = (Path.home() / ".ivy2.5.2" / "jars").glob("io.*.jar")
    return sorted(jar for jar in found if jar.name.startswith("io.unitycatalog_") or f"-{DELTA}." in jar.name)


@contextmanager
def _before(remote: str, port: int, volumes: Path) -> Iterator[Served]:
    session = SparkSession.builder.remote(remote).create()
    warehouse, workspace = SqlWarehouse(session, volumes), Workspace(remote)
    shim = ThriftShim(port, warehouse.translated)
    handler = type("Handler", (_Handler,), {"shim": shim, "workspace": workspace, "catalog": warehouse.catalog})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_address[1]}", session, warehouse, workspace)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        shim.sockets.close()
        session.stop()
