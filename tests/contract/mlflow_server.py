"""A real MLflow server, as a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import requests

from tests.ports import free_port

# MLflow sends webhooks to HTTPS at public addresses only; these lift that for a machine of a developer.
DEVELOPMENT = {
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "1", "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",
}  # fmt: skip
# Its jobs, such as evaluations, would start more processes than the server itself; nothing here asks for one.
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@contextmanager
def mlflow_server(database: Path, folder: Path, **variables: str) -> Iterator[str]:
    """The address of MLflow's own server, which keeps runs in a database and serves the files of models.

    Args:
        folder: for the files of models, and for the log of the server.
        variables: of its environment, beside those of this process.
    """
    port, log = free_port(), folder / "mlflow.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}",
             "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port),
             "--workers", "1"],
            stdout=output, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
            env={**os.environ, **WITHOUT_JOBS, **variables},
        )  # fmt: skip
    try:
        address, deadline = f"http://127.0.0.1:{port}", monotonic() + 120
        while not _responds(address):
            assert process.poll() is None, log.read_text()
            assert monotonic() < deadline, log.read_text()
            sleep(0.1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # SIGTERM would wait for connections that MLflow keeps open
        process.wait(60)


def _responds(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.RequestException:  # on a busy machine it takes a while
        return False
