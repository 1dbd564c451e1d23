"""A workspace over HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

EXISTING: dict[str, Any] = {
    "/api/2.0/preview/scim/v2/Me": {"userName": "anna@example.com"},
    "/api/2.0/sql/warehouses/abc123": {"id": "abc123", "name": "Starter", "state": "STOPPED"},
    "/api/2.1/unity-catalog/catalogs/prod": {"name": "prod"},
    "/api/2.1/unity-catalog/schemas/prod.models": {"full_name": "prod.models"},
}

FAILING = {"/failing": 503}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A workspace that has one warehouse, one catalog and one schema."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = EXISTING.get(self.path.partition("?")[0])
            missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"{self.path} does not exist."}
            body = json.dumps(content or missing).encode()
            self.send_response(200 if content else FAILING.get(self.path, 404))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
