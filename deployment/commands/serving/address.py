"""The address at which `serve` starts a server."""

from dataclasses import replace

from deployment.model_server.process import server_process
from deployment.model_server.process.ports import PortTaken, check_free, next_free
from deployment.model_server.settings import ServerSettings
from lakehouse import console
from lakehouse.settings import Settings


def settings_to_serve(settings: Settings, port: int | None, workers: int) -> ServerSettings:
    """Settings of the server to start; if nobody asked for an address and its port is taken, the next free port.

    A running server of this checkout keeps its port, and a taken port that was asked for stays an error of the start.

    Raises:
        LakehouseError: `MODEL_SERVER` is not an address, or the record of the running server cannot be read.
    """
    server = ServerSettings.of(settings, port, workers)
    if port is not None or not settings.any_port or server_process.running(server):
        return server
    try:
        check_free(server.host, server.port)
    except PortTaken as err:
        free = next_free(server.host, server.port)
        if free is None:
            raise
        console.detail(f"{err.failed}. The server takes port {free} instead; MODEL_SERVER sets another one")
        return replace(server, port=free)
    return server
