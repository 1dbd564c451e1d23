"""`stop`: end the model server of this checkout."""

from deployment.model_server.process import server_process
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import Settings


def stop(settings: Settings) -> None:
    """Stop the server; do nothing if none runs."""
    stopped = server_process.stop(ServerSettings.of(settings))
    console.detail("Model server stopped" if stopped else "No model server is running")
