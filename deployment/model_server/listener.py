"""The application under granian, in this process, until a signal ends it."""

import asyncio
import logging
import signal
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server

from deployment.model_server.app import create_app
from deployment.model_server.settings import ServerSettings

LOG = logging.getLogger(__name__)


def listen(settings: ServerSettings) -> None:
    """Serve until SIGINT or SIGTERM; requests that are being answered are finished first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("_granian").setLevel(logging.ERROR)
    asyncio.run(_listen(settings))


async def _listen(settings: ServerSettings) -> None:
    server: Any = Server(
        create_app(settings),
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_enabled=False,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    LOG.info("model server at %s, token in %s", settings.url, settings.token_file)
    await server.serve()
    LOG.info("model server ended")
