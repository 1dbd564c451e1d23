"""Databases of MLflow, new and with every table. To make one takes MLflow seconds, to copy one nothing."""

import tempfile
from functools import cache
from pathlib import Path

from lakehouse.settings import Settings
from tests.contract.people import mlflow_restored
from training.tracking import tracking


def new_database(folder: Path) -> str:
    """Put one into the folder; its address."""
    path = folder / "mlflow.db"
    path.write_bytes(_made())
    return f"sqlite:///{path}"


@cache
def _made() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = f"sqlite:///{folder}/mlflow.db"
        with mlflow_restored(), tracking(Settings(folder, folder, None, uri, uri, "")) as client:
            client.search_experiments()
        return (folder / "mlflow.db").read_bytes()
