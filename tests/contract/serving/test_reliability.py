"""A real server with faulty clients, signals, TLS, and files that do not match their registered digest."""

import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput
from mlflow.entities.model_registry import ModelVersion

from deployment.endpoints import endpoint_client
from deployment.model_server.clock import SYSTEM
from deployment.model_server.http.auth import read_token
from deployment.model_server.models.loader import ModelNotLoaded, RegistryLoader
from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse.settings import PROJECT, ServerAccess
from scoring.digest import DIGEST, digest
from scoring.registered_files import FilesNotRegistered, fetch
from tests.contract.held_request import HeldRequest
from tests.contract.people import mlflow_restored
from tests.ports import free_port

ROWS = [{"age": 50}]
SCORE = "/serving-endpoints/e/invocations"


@pytest.fixture(scope="module")
def hasty(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    """A server that waits one second for a body."""
    state = tmp_path_factory.mktemp("hasty") / ".serving"
    settings = ServerSettings(PROJECT, state, tracking_uri, port=free_port(), body_seconds=1.0)
    server_process.serve_detached(settings)
    client = endpoint_client.connect(settings.url, read_token(settings.token_file))
    endpoint_client.deploy(client, "e", "term_deposit", 1)
    yield settings
    server_process.stop(settings)


def exchange(server: ServerSettings, *parts: bytes, half: bool = False) -> bytes:
    """The response to raw bytes; `half` closes the sending side after them."""
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        if half:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
            if b"\r\n\r\n" in received and b"connection: close" not in received.lower():
                break
        return received


def head(server: ServerSettings, *lines: str) -> bytes:
    first = ["POST " + SCORE + " HTTP/1.1", "Host: x", f"Authorization: Bearer {read_token(server.token_file)}"]
    return "\r\n".join([*first, "Content-Type: application/json", *lines, "", ""]).encode()


def test_an_incomplete_body_gets_408(hasty: ServerSettings) -> None:
    response = exchange(hasty, head(hasty, "Content-Length: 100"), b'{"dataframe_')
    assert response.startswith(b"HTTP/1.1 408") and b"REQUEST_TIMEOUT" in response


def test_clients_that_disconnect_early_do_not_affect_the_server(hasty: ServerSettings) -> None:
    for _ in range(20):
        with socket.create_connection((hasty.host, hasty.port)) as connection:
            connection.sendall(head(hasty, "Content-Length: 100") + b'{"datafr')
    client = endpoint_client.connect(hasty.url, read_token(hasty.token_file))
    assert endpoint_client.predict(client, "e", ROWS)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([b"NONSENSE\r\n\r\n"], b"400"),
        ([b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n"], b"431"),
        ([b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n"], b"431"),
        ([b"GET /" + b"a" * 80_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"], b"414"),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"], b"400"),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"], b"400"),
    ],
)
def test_malformed_http_is_refused(hasty: ServerSettings, parts: list[bytes], status: bytes) -> None:
    response = exchange(hasty, *parts)
    assert response[:12] == b"HTTP/1.1 " + status


def test_an_invalid_chunk_is_refused(hasty: ServerSettings) -> None:
    response = exchange(hasty, head(hasty, "Transfer-Encoding: chunked"), b"zz\r\nhello\r\n", half=True)
    assert response[:10] in {b"", b"HTTP/1.1 4"}, "connection closed, or a 4xx"


def test_sigterm_finishes_the_requests_in_flight(
    start: Callable[[], ServerSettings], held_request: HeldRequest
) -> None:
    settings = start()
    client = endpoint_client.connect(settings.url, read_token(settings.token_file))
    endpoint_client.deploy(client, "e", "waiting", 1)
    responses: list[Any] = []
    querying = threading.Thread(target=lambda: responses.append(endpoint_client.predict(client, "e", ROWS)))
    querying.start()
    server = server_process.running(settings)
    assert server is not None
    try:
        while not held_request.arrived.exists():
            SYSTEM.sleep(0.01)
        os.kill(server.pid, signal.SIGTERM)
        while _accepts(settings):
            SYSTEM.sleep(0.01)
        assert server_process.running(settings), "the server waits for the response"
    finally:
        held_request.response_allowed.touch()
        querying.join(20)
    assert responses == [[{"version": 1, "probability": 0.5}]]
    server_process.stop(settings)


def _accepts(settings: ServerSettings) -> bool:
    try:
        socket.create_connection((settings.host, settings.port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def secure(tracking_uri: str, tmp_path: Path) -> Iterator[ServerSettings]:
    """A server with a self-signed certificate."""
    certificate, key = _self_signed(tmp_path)
    access = ServerAccess(certificate=certificate, key=key, token="c" * 32, data_token="d" * 32)
    settings = ServerSettings(PROJECT, tmp_path / ".serving", tracking_uri, port=free_port(), serving=access)
    server_process.serve_detached(settings)
    yield settings
    server_process.stop(settings)


def test_the_server_uses_tls_and_keeps_configured_tokens_secret(secure: ServerSettings) -> None:
    server = server_process.running(secure)
    assert server is not None and server.url.startswith("https://") and server.token == "c" * 32
    assert not secure.token_file.exists(), "a configured token is not written to a file"
    stored = b"".join(path.read_bytes() for path in secure.state.rglob("*") if path.is_file())
    environment = Path(f"/proc/{server.pid}/environ").read_bytes() + Path(f"/proc/{server.pid}/cmdline").read_bytes()
    assert b"c" * 32 not in stored + environment
    client: WorkspaceClient = endpoint_client.connect(server.url, server.token, server.authority)
    config = EndpointCoreConfigInput(
        name="e", served_entities=[ServedEntityInput(entity_name="term_deposit", entity_version="1")]
    )
    client.serving_endpoints.create_and_wait("e", config=config)
    assert endpoint_client.predict(client, "e", ROWS) == [{"version": 1, "probability": 0.5}]
    with pytest.raises(endpoint_client.ServingUnreachable):
        endpoint_client.connect(server.url.replace("https", "http"), server.token)
    stranger = ssl.create_default_context()
    with socket.create_connection((secure.host, secure.port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
        stranger.wrap_socket(plain, server_hostname="127.0.0.1")


def _self_signed(folder: Path) -> tuple[Path, Path]:
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "model server")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def registry(tracking_uri: str) -> Iterator[mlflow.MlflowClient]:
    with mlflow_restored():
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        yield mlflow.MlflowClient()


def copied(registry: mlflow.MlflowClient, name: str, **tags: str) -> ModelVersion:
    """A version with the files of `term_deposit` 1 under another name and other tags."""
    source = registry.get_model_version("term_deposit", "1").source
    assert source is not None
    registry.create_registered_model(name)
    created = registry.create_model_version(name, source=source, tags=tags)
    return registry.get_model_version(name, created.version)


def test_a_version_without_a_registered_digest_is_not_loaded(
    registry: mlflow.MlflowClient, tracking_uri: str, tmp_path: Path
) -> None:
    version = copied(registry, "unverified")
    with pytest.raises(ModelNotLoaded, match=r"no tag 'artifacts_sha256'.*MODEL_SERVER_UNVOUCHED=allow"):
        RegistryLoader(tracking_uri, tmp_path / "cache")("unverified", str(version.version))
    assert (fetch(version, tmp_path, allow_unverified=True) / "MLmodel").is_file()


def test_files_with_another_digest_are_never_loaded(registry: mlflow.MlflowClient, tmp_path: Path) -> None:
    version = copied(registry, "changed", **{DIGEST: "0" * 64})
    with pytest.raises(FilesNotRegistered, match=r"not the registered ones: .* the registry has 000000000000"):
        fetch(version, tmp_path, allow_unverified=True)


def test_the_digest_changes_with_any_byte_or_file_name(registry: mlflow.MlflowClient, tmp_path: Path) -> None:
    registered = registry.get_model_version("term_deposit", "1").tags[DIGEST]
    files = fetch(registry.get_model_version("term_deposit", "1"), tmp_path, allow_unverified=False)
    assert digest(files) == registered
    (files / "__pycache__").mkdir()
    (files / "__pycache__" / "model.pyc").touch()
    (files / "registered_model_meta").write_text("as MLflow reads it")
    assert digest(files) == registered, "files that loading creates do not count"
    script = next(files.glob("*.py"))
    before = script.read_bytes()
    for changed in (before + b"\n", before[:-1]):
        script.write_bytes(changed)
        assert digest(files) != registered
    script.write_bytes(before)
    script.rename(files / "other.py")
    assert digest(files) != registered
