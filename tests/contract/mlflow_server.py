"""A real MLflow server, as a process."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tests.ports import free_port


@contextmanager
def mlflow_server(database: Path, folder: Path, **variables: str) -> Iterator[str]:
    """A real MLflow server on a free port, with environment variables."""
    port, log = free_port(), folder / "mlflow.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}",
             "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port),
             "--workers", "1"],
            stdout=output, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
            env={**os.environ, **variables},
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=5):
                    break
            except (URLError, OSError):
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)
