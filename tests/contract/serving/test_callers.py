"""Callers with tokens of their own, gzip, the access log and traces, over HTTP on one real server."""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from deployment.endpoints import endpoint_client
from deployment.model_server.clock import SYSTEM
from deployment.model_server.http import callers_file
from deployment.model_server.http.auth import read_token
from deployment.model_server.process import server_process
from deployment.model_server.settings import MIB, ServerSettings
from deployment.run import main
from lakehouse.settings import PROJECT, ServerAccess
from tests.ports import free_port

ROOT = "/api/2.0/serving-endpoints"
ROWS = {"dataframe_records": [{"age": 50}, {"age": 20}]}


TRACES = "opentelemetry-exporter-otlp-proto-http" in {each.metadata["Name"] for each in distributions()}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    server: ServerSettings, method: str, path: str, body: bytes | None = None, token: str = "", **headers: str
) -> Answer:
    """The response to a request, by default with the data token."""
    sent = {
        "authorization": f"Bearer {token or read_token(server.data_token_file)}",
        "content-type": "application/json",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    connection = HTTPConnection(server.host, server.port, timeout=60)
    connection.request(method, path, body, sent)
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return answer


def score(server: ServerSettings, endpoint: str, token: str = "", **headers: str) -> Answer:
    body = json.dumps(ROWS).encode()
    return call(server, "POST", f"/serving-endpoints/{endpoint}/invocations", body, token, **headers)


@pytest.fixture(scope="module")
def traces() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a stub of an OpenTelemetry collector, and the bodies that it received."""
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{collector.server_port}", received
    collector.shutdown()
    thread.join()
    collector.server_close()


@pytest.fixture(scope="module")
def observed(
    tracking_uri: str, tmp_path_factory: pytest.TempPathFactory, traces: tuple[str, list[bytes]]
) -> Iterator[ServerSettings]:
    """A server with an access log and traces, and the endpoints `a` and `b`."""
    state = tmp_path_factory.mktemp("observed") / ".serving"
    access = ServerAccess(access_log=True, trace_exporter="otlp" if TRACES else None)
    settings = ServerSettings(PROJECT, state, tracking_uri, port=free_port(), serving=access)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces[0])
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        server_process.serve_detached(settings)
    client = endpoint_client.connect(settings.url, read_token(settings.token_file))
    for name in ("a", "b"):
        endpoint_client.deploy(client, name, "term_deposit", 1)
    yield settings
    server_process.stop(settings)


def access_lines(server: ServerSettings, identifier: str) -> list[dict[str, Any]]:
    """The lines with an id, once they are written."""
    path = server.access_log
    assert path is not None
    while True:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if found := [line for line in lines if line["id"] == identifier]:
            return found
        SYSTEM.sleep(0.01)


def test_a_caller_has_its_own_token_rate_and_endpoints(observed: ServerSettings) -> None:
    token = callers_file.add(observed.callers_file, "shop", 0.01, 3, ["a"])
    while (first := score(observed, "a", token)).status == 403:
        SYSTEM.sleep(0.05)  # the server reads the file again within a second
    assert (observed.callers_file.stat().st_mode & 0o777, token in observed.callers_file.read_text()) == (
        0o600,
        False,
    )
    assert [first.status, *(score(observed, "a", token).status for _ in range(3))] == [200, 200, 200, 429]
    refused = score(observed, "a", token)
    assert (refused.json["error_code"], 1 <= int(refused.headers["retry-after"]) <= 100) == (
        "REQUEST_LIMIT_EXCEEDED",
        True,
    )
    assert score(observed, "a").status == 200, "the limit of one caller holds for nobody else"
    assert score(observed, "b", token).status == 403
    assert call(observed, "GET", f"{ROOT}/b", token=token).status == 403
    assert call(observed, "GET", "/metrics", token=token).status == 403
    assert call(observed, "DELETE", f"{ROOT}/a", token=token).status == 403
    assert call(observed, "POST", "/invocations", b"{}", token=token).status in {400, 403}
    listed = call(observed, "GET", ROOT, token=token).json["endpoints"]
    assert [endpoint["name"] for endpoint in listed] == ["a"]
    metrics = call(observed, "GET", "/metrics").body.decode()
    assert 'model_server_caller_requests_total{caller="shop",endpoint="a",status="200"} 3.0' in metrics
    assert 'model_server_caller_requests_total{caller="shop",endpoint="a",status="429"} 2.0' in metrics
    callers_file.remove(observed.callers_file, "shop")
    while call(observed, "GET", ROOT, token=token).status != 403:
        SYSTEM.sleep(0.05)


def test_a_damaged_file_of_callers_leaves_those_of_before_in_force(observed: ServerSettings) -> None:
    token = callers_file.add(observed.callers_file, "kept", None, None, None)
    while score(observed, "b", token).status == 403:
        SYSTEM.sleep(0.05)
    written = observed.callers_file.read_text()
    observed.callers_file.write_text(written[:-5])
    while "the previous callers stay valid" not in observed.log_file.read_text():
        SYSTEM.sleep(0.05)
    assert score(observed, "b", token).status == 200
    observed.callers_file.write_text(written)
    callers_file.remove(observed.callers_file, "kept")


def test_the_access_log_has_one_line_for_each_request_and_no_inputs(observed: ServerSettings) -> None:
    assert score(observed, "a", x_request_id="mine-1").headers["x-request-id"] == "mine-1"
    line = access_lines(observed, "mine-1")[0]
    assert (line["caller"], line["endpoint"], line["served"], line["version"], line["rows"], line["status"]) == (
        "data-token", "a", "term_deposit-1", "1", 2, 200,
    )  # fmt: skip
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) and line["ms"] > 0
    made = score(observed, "nowhere", "wrong" * 5, x_request_id="not plain!").headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    refused = access_lines(observed, made)[0]
    assert (refused["caller"], refused["status"], refused["rows"]) == ("", 403, 0)
    assert observed.access_log is not None
    assert "age" not in observed.access_log.read_text()
    assert observed.access_log.stat().st_mode & 0o077 == 0


def test_bodies_may_be_compressed_and_a_bomb_is_refused(observed: ServerSettings) -> None:
    path, plain = "/serving-endpoints/a/invocations", json.dumps(ROWS).encode()
    packed = gzip.compress(plain)
    answer = call(observed, "POST", path, packed, content_encoding="gzip")
    assert (answer.status, answer.body) == (200, call(observed, "POST", path, plain).body)
    bomb = gzip.compress(b" " * (200 * MIB))
    assert len(bomb) < MIB
    for body, status in ((bomb, 413), (packed[:-4], 400), (packed + b"x", 400), (plain, 400)):
        refused = call(observed, "POST", path, body, content_encoding="gzip")
        assert (refused.status, "error_code" in refused.json) == (status, True)
    assert call(observed, "POST", path, plain, content_encoding="br").status == 415


def test_a_large_response_is_compressed_for_callers_that_accept_it(observed: ServerSettings) -> None:
    path = "/serving-endpoints/a/invocations"
    body = json.dumps({"inputs": {"age": [50] * 5_000}}).encode()
    plain = call(observed, "POST", path, body)
    packed = call(observed, "POST", path, body, accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body) / 5
    assert "content-encoding" not in score(observed, "a", accept_encoding="gzip").headers


def test_a_request_becomes_a_span_with_parsing_and_scoring_in_the_callers_trace(
    observed: ServerSettings, traces: tuple[str, list[bytes]]
) -> None:
    if not TRACES:
        pytest.skip("the extra 'otel' is not installed")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    assert score(observed, "a", traceparent=f"00-{trace}-{parent}-01").status == 200
    spans: dict[str, Any] = {}
    while len(spans) < 3:
        SYSTEM.sleep(0.02)
        for body in list(traces[1]):
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                found = [span for scope in sent.scope_spans for span in scope.spans if span.trace_id.hex() == trace]
                spans |= {span.name: span for span in found}
    request = spans["POST a"]
    assert request.parent_span_id.hex() == parent
    values = {each.key: each.value for each in request.attributes}
    assert (values["http.response.status_code"].int_value, values["model_server.rows"].int_value) == (200, 2)
    assert values["model_server.version"].string_value == "1"
    assert spans["parse"].parent_span_id == spans["score"].parent_span_id == request.span_id
    edges = [request.start_time_unix_nano, spans["parse"].start_time_unix_nano, spans["parse"].end_time_unix_nano]
    edges += [spans["score"].start_time_unix_nano, spans["score"].end_time_unix_nano, request.end_time_unix_nano]
    assert edges == sorted(edges)


def test_nothing_of_this_is_there_by_default(server: ServerSettings) -> None:
    assert "x-request-id" not in score(server, "nowhere").headers
    assert not (server.state / "access.log").exists() and not server.callers_file.exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "should be an object"),
        ('{"a": {"sha256": "x"}}', "a.sha256"),
        ('{"control-token": {"sha256": "HASH"}}', "'control-token' .* has the name of a token"),
        ('{"a": {"sha256": "HASH"}, "b": {"sha256": "HASH"}}', "shares its token with another"),
        ('{"a": {"sha256": "HASH"}, "a": {"sha256": "HASH"}}', "duplicate key 'a'"),
        ('{"a": {"sha256": "HASH", "rate": 0}}', "a.rate"),
        ('{"a": {"sha256": "HASH", "burst": 9}}', "burst needs a rate"),
        ('{"a": {"sha256": "HASH", "limit": 1}}', "a.limit"),
    ],
)
def test_a_server_does_not_start_with_a_damaged_file_of_callers(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "callers.json"
    path.touch(mode=0o600)
    path.write_text(text.replace("HASH", "0" * 64))
    with pytest.raises(callers_file.CallersUnusable, match=says):
        callers_file.CallersFile(path)
    path.chmod(0o644)
    with pytest.raises(callers_file.CallersUnusable, match="other users can read"):
        callers_file.CallersFile(path)


def test_the_command_refuses_a_burst_without_a_rate() -> None:
    result = CliRunner().invoke(main, ["add-caller", "shop", "--burst", "9"])
    assert (result.exit_code, "--burst needs --rate" in result.output) == (2, True)
