"""The HTTP server (granian) that runs the application in this process until a signal arrives."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.model_server.app import create_app
from deployment.model_server.http.auth import token_sources
from deployment.model_server.http.connections import connection_limit
from deployment.model_server.process.garbage import exclude_loaded
from deployment.model_server.settings import ServerSettings

LOG = logging.getLogger(__name__)
HEADER_MILLISECONDS = 10_000  # for the headers of a request, and between two requests of a connection
HEADER_BYTES = 64 * 1024
BACKLOG = 1024


def listen(settings: ServerSettings, started: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests in flight. Call `started` once the port is open."""
    os.umask(0o077)  # payload tables, state and logs are the owner's alone
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_listen(settings, started))


async def _listen(settings: ServerSettings, started: Callable[[], None]) -> None:
    server: Any = Server(
        _announcing(create_app(settings, loaded=exclude_loaded), started),
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=HEADER_BYTES),
        backlog=BACKLOG,
        backpressure=connection_limit(),
        websockets=False,
        log_enabled=False,
        ssl_cert=settings.serving.certificate,
        ssl_key=settings.serving.key,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    if settings.exposed:
        LOG.warning("other machines can reach %s without TLS, so tokens travel unencrypted: use TLS", settings.url)
    LOG.info("model server at %s, tokens in %s and %s", settings.url, *token_sources(settings))
    await server.serve()
    LOG.info("model server ended")


def _announcing(app: ASGIApp, started: Callable[[], None]) -> ASGIApp:
    """The application, which calls `started` after its startup: granian opens the port before."""

    async def announcing(scope: Scope, receive: Receive, send: Send) -> None:
        async def observed(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                started()
            await send(message)

        await app(scope, receive, observed if scope["type"] == "lifespan" else send)

    return announcing
